// Labels painted by hand: a layer of numbers over those that the swap composed.

import { encode } from "./png.js";

const STEPS = 60; // that can be undone

export class Paint {
  /** size: side of the labels. unpainted: number of pixels that stay as composed. colours: RGB by label number. */
  constructor(canvas, ring, size, unpainted, colours, changed) {
    this.size = size;
    this.unpainted = unpainted;
    this.colours = colours;
    this.composed = new Uint8Array(size * size);
    this.layer = new Uint8Array(size * size).fill(unpainted);
    this.radius = 12;
    this.brush = unpainted;
    this.done = [];
    this.undone = [];
    this.canvas = canvas;
    this.ring = ring;
    this.changed = changed;
    this.cursor = [size / 2, size / 2];
    canvas.width = canvas.height = size;
    this.context = canvas.getContext("2d");
    this.picture = this.context.createImageData(size, size);
    this.#listen();
  }

  get empty() {
    return this.layer.every((value) => value === this.unpainted);
  }

  /** Return the layer as a PNG in base64; null if nothing is painted. */
  async png() {
    if (this.empty) return null;
    const bytes = await encode(this.layer, this.size, this.size);
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    return btoa(text);
  }

  compose(labels) {
    this.composed = labels;
    this.#draw();
  }

  reset() {
    if (!this.empty) this.#change(() => this.layer.fill(this.unpainted));
  }

  /** Forget the paint and what could be undone: the face is another one. */
  clear() {
    this.layer.fill(this.unpainted);
    this.done = [];
    this.undone = [];
    this.#draw();
  }

  undo() {
    this.#step(this.done, this.undone, "before");
  }

  redo() {
    this.#step(this.undone, this.done, "after");
  }

  #step(from, to, side) {
    const step = from.pop();
    if (!step) return;
    to.push(step);
    this.layer.set(step[side]);
    this.#draw();
    this.changed();
  }

  /** Make a change that can be undone. */
  #change(make) {
    const before = this.layer.slice();
    make();
    this.#record(before);
    this.#draw();
    this.changed();
  }

  #record(before) {
    this.done.push({ before, after: this.layer.slice() });
    if (this.done.length > STEPS) this.done.shift();
    this.undone = [];
  }

  #listen() {
    const { canvas } = this;
    let last = null;
    let before = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault();
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      before = this.layer.slice();
      last = this.#place(event);
      this.#stroke(last, last);
    });
    canvas.addEventListener("pointermove", (event) => {
      const place = this.#place(event);
      this.#show(place);
      if (!before) return;
      this.#stroke(last, place);
      last = place;
    });
    const end = () => {
      if (!before) return;
      this.#record(before);
      before = null;
      this.changed();
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("pointerleave", () => (this.ring.style.display = "none"));
    canvas.addEventListener("blur", () => (this.ring.style.display = "none"));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && this.#show(this.cursor));
  }

  #key(event) {
    const step = Math.max(2, Math.round(this.radius / 2));
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (event.key in moves && !event.ctrlKey && !event.metaKey) {
      const [x, y] = moves[event.key];
      const from = this.cursor;
      this.cursor = [from[0] + x, from[1] + y].map((at) => Math.min(this.size - 1, Math.max(0, at)));
      if (event.shiftKey) this.#change(() => this.#line(from, this.cursor));
      this.#show(this.cursor);
    } else if (event.key === " ") {
      this.#change(() => this.#line(this.cursor, this.cursor));
    } else if (event.key === "[" || event.key === "]") {
      this.canvas.dispatchEvent(new CustomEvent("resizebrush", { detail: event.key === "]" ? 4 : -4 }));
      this.#show(this.cursor);
    } else {
      return;
    }
    event.preventDefault();
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * this.size, ((event.clientY - box.top) / box.height) * this.size];
  }

  #show([x, y]) {
    const scale = this.canvas.clientWidth / this.size;
    const side = Math.max(4, 2 * this.radius * scale);
    Object.assign(this.ring.style, {
      display: "block",
      width: `${side}px`,
      height: `${side}px`,
      left: `${x * scale - side / 2}px`,
      top: `${y * scale - side / 2}px`,
    });
  }

  #stroke(from, to) {
    this.#line(from, to);
    this.#draw();
    this.changed();
  }

  /** Paint the pixels within the brush's radius of a line. */
  #line([x0, y0], [x1, y1]) {
    const { size, radius, brush, layer } = this;
    const [dx, dy] = [x1 - x0, y1 - y0];
    const length = dx * dx + dy * dy;
    const low = (a, b) => Math.max(0, Math.floor(Math.min(a, b) - radius));
    const high = (a, b) => Math.min(size - 1, Math.ceil(Math.max(a, b) + radius));
    for (let y = low(y0, y1); y <= high(y0, y1); y++) {
      for (let x = low(x0, x1); x <= high(x0, x1); x++) {
        const [px, py] = [x + 0.5 - x0, y + 0.5 - y0];
        const along = length ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 0;
        if ((px - along * dx) ** 2 + (py - along * dy) ** 2 <= radius * radius) layer[y * size + x] = brush;
      }
    }
  }

  #draw() {
    const { layer, composed, colours, unpainted, picture } = this;
    const { data } = picture;
    for (let i = 0; i < layer.length; i++) {
      const colour = colours[layer[i] === unpainted ? composed[i] : layer[i]];
      data[4 * i] = colour[0];
      data[4 * i + 1] = colour[1];
      data[4 * i + 2] = colour[2];
      data[4 * i + 3] = 255;
    }
    this.context.putImageData(picture, 0, 0);
  }
}
