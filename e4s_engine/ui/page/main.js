// The page: what the visitor chose, and the result that follows it.

import * as api from "./api.js";
import * as facemap from "./facemap.js";
import { Paint } from "./paint.js";
import { dropPlace, label, make, shot, taking, told } from "./photos.js";
import { decode } from "./png.js";

const $ = (id) => document.getElementById(id);
const ERRORS = ["target", "source", "photo", "regions", "options", "painted", "result"];

const state = {
  target: null,
  sources: [], // photos, each with `gives`: a Set of regions, or null for the whole face
  active: 0, // the source whose regions are being chosen
  options: {},
  view: "face",
};
let facts, paint, showMap;

// ---------------------------------------------------------------- photos

let uploads = Promise.resolve();

/** Add photos, one after the other: the first makes the visitor known to the server. */
function add(files, role) {
  uploads = uploads.then(() => upload(files, role));
}

async function upload(files, role) {
  const busy = role === "target" ? $("target") : $("another");
  busy.classList.add("busy");
  busy.setAttribute("aria-busy", "true");
  say(role, "");
  try {
    for (const file of files) {
      if (file.size > facts.file_bytes) {
        throw new api.ServerError(`${role}: ${file.name} is larger than ${facts.file_bytes >> 20} MB; reduce it first`, role);
      }
      const photo = { ...(await api.add(file, role)), name: file.name };
      if (role === "target") await place(photo);
      else {
        photo.gives = state.sources.length ? new Set() : null;
        state.sources.push(photo);
        state.active = state.sources.length - 1;
        if (state.sources.length > 1 && state.sources[0].gives === null) state.sources[0].gives = new Set(facts.presets.face);
      }
    }
  } catch (error) {
    complain(error, role);
  } finally {
    busy.classList.remove("busy");
    busy.removeAttribute("aria-busy");
  }
  showPeople();
  changed();
}

/** Add two people whom the server renders: other ones at every call but the first. */
function render() {
  const seed = state.rendered ? Math.floor(Math.random() * 100_000) : 0;
  state.rendered = true;
  uploads = uploads.then(async () => {
    $("render").disabled = true;
    try {
      await place({ ...(await api.render(seed + 1)), name: `rendered ${seed + 1}` });
      state.sources = [{ ...(await api.render(seed)), name: `rendered ${seed}`, gives: null }];
    } catch (error) {
      complain(error, "result");
    }
    $("render").disabled = false;
    showPeople();
    changed();
  });
}

async function place(photo) {
  const old = state.target;
  state.target = photo;
  paint.clear();
  drive();
  if (old) await api.remove(old.id).catch(() => {});
}

async function pick(photo, number, role, align = "auto") {
  say(role, "");
  try {
    Object.assign(photo, await api.pick(photo.id, number, align));
    if (photo === state.target) paint.clear();
    drive();
  } catch (error) {
    complain(error, role);
  }
  showPeople();
  changed();
}

async function remove(photo) {
  await api.remove(photo.id).catch(() => {});
  if (photo === state.target) {
    state.target = null;
    paint.clear();
  }
  state.sources = state.sources.filter((other) => other !== photo);
  state.active = Math.max(0, Math.min(state.active, state.sources.length - 1));
  showPeople();
  changed();
}

/** Drive the sources that are to be driven to the target's pose and expression. */
function drive() {
  if (!facts.reenacts) return;
  uploads = uploads.then(async () => {
    for (const photo of state.sources.filter((other) => other.picked && (other.drives || other.picked.driven))) {
      const driven = photo.drives && state.target?.picked ? state.target.id : null;
      try {
        $("timing").textContent = "driving the source…";
        Object.assign(photo, await api.drive(photo.id, driven));
      } catch (error) {
        photo.drives = false;
        complain(error, "source");
      }
    }
    showPeople();
    changed();
  });
}

function exchange() {
  const source = state.sources[state.active];
  [state.target, state.sources[state.active]] = [source, state.target];
  state.sources[state.active].gives = source.gives;
  paint.clear();
  drive();
  showPeople();
  changed();
}

function showPeople() {
  const focused = document.activeElement?.dataset?.key;
  const target = $("target");
  const said = $("error-target") ?? errorPlace("target");
  target.replaceChildren(head("Target", state.target));
  target.firstChild.title = "The photo that is changed";
  if (state.target) target.append(...portrait(state.target, "target", () => {}));
  else target.append(dropPlace(target, "Add the target", "the photo to change: drop it here or choose a file", (files) => add(files.slice(0, 1), "target")));
  taking(target, (files) => add(files.slice(0, 1), "target"));
  target.append(said);

  $("sources").replaceChildren(
    ...state.sources.map((photo, i) => {
      const card = make("article", { className: i === state.active && state.sources.length > 1 ? "card active" : "card" });
      const title = state.sources.length > 1 ? `Source ${i + 1}` : "Source";
      card.append(head(title, photo), ...portrait(photo, "source"));
      if (facts.reenacts && photo.picked && !photo.saved) card.append(driving(photo));
      if (state.sources.length > 1) {
        const choose = make("button", { type: "button" }, i === state.active ? "Choosing its regions" : "Choose its regions");
        choose.dataset.key = `choose-${i}`;
        choose.setAttribute("aria-pressed", String(i === state.active));
        choose.addEventListener("click", () => {
          state.active = i;
          showPeople();
        });
        card.append(choose, make("p", { className: "chosen" }, given(photo)));
      }
      return card;
    }),
  );
  const some = state.sources.length > 0;
  const [title, hint, input] = $("another").firstChild.children;
  title.textContent = some ? "Add another source" : "Add a source";
  hint.textContent = some ? "regions from several people" : "the person to take the face from: a photo, or a saved face";
  label(input, title.textContent);
  $("another").hidden = state.sources.length + (state.target ? 1 : 0) >= facts.photos;
  $("exchange").hidden = !(state.target && some && !state.sources[state.active].saved);
  if (focused) document.querySelector(`[data-key="${focused}"]`)?.focus();
  showRegions();
}

function head(title, photo) {
  const box = make("div", { className: "head" }, make("h3", {}, title));
  if (photo) {
    const button = label(make("button", { type: "button", className: "plain" }, "✕ Remove"), `Remove ${title.toLowerCase()}`);
    button.addEventListener("click", () => remove(photo));
    box.append(button);
  }
  return box;
}

function portrait(photo, role) {
  const parts = [shot(photo, (number) => pick(photo, number, role)), make("p", { className: "small chosen" }, `${photo.name}: ${told(photo) || "no face is picked"}`)];
  if (photo.error) parts.push(make("p", { className: "error", role: "alert" }, photo.error));
  if (!photo.picked && photo.width === photo.height) {
    const button = make("button", { type: "button" }, "Take it as an aligned portrait");
    button.addEventListener("click", () => pick(photo, "largest", role, false));
    parts.push(button);
  }
  return parts;
}

const errorPlace = (role) => make("p", { className: "error", id: `error-${role}`, role: "alert" });

function driving(photo) {
  const box = make("input", { type: "checkbox", checked: Boolean(photo.drives) });
  box.dataset.key = `drive-${photo.id}`;
  box.addEventListener("change", () => {
    photo.drives = box.checked;
    drive();
  });
  return make("label", { className: "row small", title: "face-vid2vid; takes seconds" }, box, "in the target's pose and expression");
}

// ---------------------------------------------------------------- regions

function given(photo) {
  if (photo.gives === null) return "gives the whole face";
  return photo.gives.size ? `gives ${[...photo.gives].join(", ")}` : "gives nothing yet";
}

function toggle(region) {
  const source = state.sources[state.active];
  if (!source) return;
  if (source.gives === null) source.gives = new Set([region]);
  else if (!source.gives.delete(region)) source.gives.add(region);
  settle(source);
}

function choose(regions) {
  const source = state.sources[state.active];
  if (!source) return;
  source.gives = regions && new Set(regions);
  settle(source);
}

/** Let a region be given by one source alone. */
function settle(source) {
  for (const other of state.sources) {
    if (other === source) continue;
    if (source.gives === null) other.gives = new Set();
    else if (other.gives === null) other.gives = new Set();
    else for (const region of source.gives) other.gives.delete(region);
  }
  showPeople();
  changed();
}

function showRegions() {
  const source = state.sources[state.active];
  const several = state.sources.length > 1;
  const whole = source?.gives === null;
  const chosen = new Set(whole ? facts.presets.face : (source?.gives ?? []));
  const elsewhere = new Map();
  state.sources.forEach((other, i) => {
    if (other !== source) for (const region of other.gives ?? []) elsewhere.set(region, `source ${i + 1}`);
  });
  $("whose").textContent = several ? `from source ${state.active + 1}` : "";
  showMap(chosen, elsewhere);
  for (const box of $("regions").querySelectorAll("input")) {
    const region = box.value;
    box.disabled = !source;
    box.checked = chosen.has(region);
    const shown = !source?.picked || source.picked.regions.includes(region);
    const note = elsewhere.has(region) ? elsewhere.get(region).replace("source", "from") : shown ? "" : "absent";
    box.parentElement.classList.toggle("away", note !== "");
    box.parentElement.lastChild.textContent = note;
  }
  for (const button of $("presets").children) {
    button.disabled = !source;
    const same = button.regions && source?.gives && button.regions.length === source.gives.size && button.regions.every((name) => source.gives.has(name));
    button.setAttribute("aria-pressed", String(button.regions === null ? whole : Boolean(same)));
  }
  showBrushes();
}

// ---------------------------------------------------------------- the result

let dirty = false;
let busy = false;
let wanted = ""; // what the labels on the easel were composed for

const ready = () => state.target?.picked && (gives() || !paint.empty);
const gives = () => state.sources.some((photo) => photo.picked && (photo.gives === null || photo.gives.size));

function configuration() {
  const sources = state.sources.filter((photo) => photo.picked).map((photo) => ({ photo: photo.id, regions: photo.gives && [...photo.gives] }));
  return { target: state.target.id, sources, options: state.options };
}

const request = async () => ({ ...configuration(), painted: await paint.png(), view: state.view });

/** Say that something changed: the result follows as fast as the server answers, and no faster. */
function changed() {
  dirty = true;
  showPainting();
  if (!busy) follow();
}

async function follow() {
  busy = true;
  while (dirty) {
    dirty = false;
    const late = setTimeout(() => ($("timing").textContent = "working…"), 400);
    try {
      await update();
      ERRORS.slice(3).forEach((place) => say(place, ""));
    } catch (error) {
      if (!dirty) complain(error, "result");
      $("timing").textContent = "";
    }
    clearTimeout(late);
  }
  busy = false;
}

async function update() {
  const able = Boolean(ready());
  for (const id of ["download", "sheet", "continue"]) $(id).disabled = !able;
  $("paint-toggle").disabled = !state.target?.picked;
  if (!state.target?.picked) {
    showResult(null);
    $("timing").textContent = "";
    return;
  }
  await showBefore();
  if (dirty) return;
  let timing = "";
  if (able) {
    const { blob, seconds } = await api.swap(await request());
    await showResult(blob);
    timing = `${seconds.toFixed(2)} s`;
  } else {
    await showResult(null);
  }
  if (dirty) return; // the visitor went on meanwhile
  if (!$("paint").hidden) await showLabels();
  $("timing").textContent = timing;
}

let before = "";
async function showBefore() {
  const { target, view } = state;
  const key = `${target.id} ${target.picked.number} ${view}`;
  if (before === key) return;
  before = key;
  const image = $("before");
  image.src = `/api/photos/${target.id}/${view}?${encodeURIComponent(key)}`;
  $("easel-photo").src = `/api/photos/${target.id}/face?${encodeURIComponent(key)}`;
  await image.decode().catch(() => {});
  $("compare").style.setProperty("--ratio", image.naturalWidth / image.naturalHeight || 1);
}

async function showResult(blob) {
  const after = $("after");
  const old = after.src;
  const shown = Boolean(state.target?.picked);
  if (blob) {
    after.src = URL.createObjectURL(blob);
    await after.decode().catch(() => {});
  } else {
    after.removeAttribute("src");
  }
  if (old.startsWith("blob:")) URL.revokeObjectURL(old);
  if (!shown) before = "";
  $("hint").hidden = shown;
  $("compare").classList.toggle("empty", !shown);
  after.hidden = !blob;
  $("before").hidden = !shown;
  $("divider").hidden = $("slide").hidden = !blob;
  $("compare").style.setProperty("--share", blob ? $("share").value : 100);
}

// ---------------------------------------------------------------- painting

async function showLabels() {
  const asked = JSON.stringify(configuration());
  const key = `${asked} ${state.target.picked.number}`;
  if (key === wanted) return;
  const path = gives() ? "/api/labels" : `/api/photos/${state.target.id}/labels`;
  const png = await decode(await api.bytes(path, gives() ? JSON.parse(asked) : undefined));
  wanted = key;
  paint.compose(png.values);
}

function showPainting() {
  $("undo").disabled = !paint.done.length;
  $("redo").disabled = !paint.undone.length;
  $("reset").disabled = paint.empty;
}

/** Let only those brushes be taken whose texture somebody shows. */
function showBrushes() {
  const people = [state.target, ...state.sources].filter((photo) => photo?.picked);
  for (const brush of $("brushes").querySelectorAll("input")) {
    const shown = brush.value === "-1" || people.some((photo) => photo.picked.regions.includes(facts.regions[brush.value]));
    brush.disabled = !shown;
    brush.parentElement.title = shown ? "" : "no photo here shows any: add a source that does";
  }
}

function openPaint() {
  const open = $("paint").hidden;
  $("paint").hidden = !open;
  $("paint-toggle").setAttribute("aria-expanded", String(open));
  if (open) changed();
}

// ---------------------------------------------------------------- errors and files

function say(place, text) {
  const box = $(`error-${place}`);
  if (box && box.textContent !== text) box.textContent = text;
}

/** Show an error as it is, near what it names. */
function complain(error, place) {
  if (!(error instanceof api.ServerError)) console.error(error);
  const names = facts.options.map((option) => option.name);
  let near = place;
  if (error.about?.startsWith("source")) near = "source";
  else if (error.about?.startsWith("target")) near = "target";
  else if (ERRORS.includes(error.about)) near = error.about;
  else if (names.includes(error.about)) near = "options";
  if (near === "photo") near = place;
  if (near === "painted" && $("paint").hidden) near = "result";
  say(near, error.message);
}

async function save(path, extra, name) {
  say("result", "");
  try {
    const blob = await api.file(path, { ...(await request()), ...extra });
    const link = make("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (error) {
    complain(error, "result");
  }
}

/** Make the result the target. The sources give nothing then: what they gave is in it. */
async function proceed() {
  say("result", "");
  try {
    const blob = await api.file("/api/download", { ...(await request()), format: ".png" });
    for (const photo of state.sources) photo.gives = new Set();
    add([new File([blob], `${stem()}-swapped.png`)], "target");
  } catch (error) {
    complain(error, "result");
  }
}

const stem = () => state.target.name.replace(/\.[^.]*$/, "");

// ---------------------------------------------------------------- the page itself

function showNote(text, key) {
  if (!text || (key && localStorage.getItem(key) === text)) return;
  const button = make("button", { type: "button", className: "plain" }, "Close");
  const note = make("div", { className: "note", role: "note" }, make("span", {}, text), button);
  button.addEventListener("click", () => {
    if (key) localStorage.setItem(key, text);
    note.remove();
  });
  $("notes").append(note);
}

function buildRegions() {
  const colours = Object.fromEntries(facts.regions.map((name, i) => [name, `rgb(${facts.colours[i].join(" ")})`]));
  showMap = facemap.draw($("map"), colours, toggle);
  const presets = [["Whole face", null], ...Object.entries(facts.presets).map(([name, list]) => [name[0].toUpperCase() + name.slice(1), list]), ["None", []]];
  for (const [name, regions] of presets) {
    const button = make("button", { type: "button", regions }, name);
    button.title = { "Whole face": "as published: the inner face, its shape and texture", Face: "the regions of the face", Head: "with hair, ears and neck" }[name] ?? "";
    button.addEventListener("click", () => choose(regions));
    $("presets").append(button);
  }
  facts.regions.forEach((name, i) => {
    const swatch = make("span", { className: "swatch" });
    swatch.style.background = colours[name];
    const box = make("input", { type: "checkbox", value: name });
    box.addEventListener("change", () => toggle(name));
    $("regions").append(make("label", { title: facemap.spoken(name) }, box, swatch, make("span", {}, name), make("small", {})));
    const chip = swatch.cloneNode();
    $("brushes").append(make("label", {}, make("input", { type: "radio", name: "brush", value: String(i) }), chip, name));
  });
  const eraser = make("input", { type: "radio", name: "brush", value: "-1" });
  $("brushes").append(make("label", {}, eraser, "erase paint"));
  $("brushes").addEventListener("change", (event) => {
    paint.brush = event.target.value === "-1" ? facts.unpainted : Number(event.target.value);
  });
  const first = $("brushes").querySelector(`[value="${facts.regions.indexOf("skin")}"]`);
  first.checked = true;
  paint.brush = Number(first.value);
}

function buildOptions() {
  for (const option of facts.options) {
    if (["shape", "texture"].includes(option.name)) continue; // the three modes
    const title = option.name[0].toUpperCase() + option.name.slice(1).replaceAll("_", " ");
    const meaning = make("p", { className: "small", id: `meaning-${option.name}` }, option.meaning);
    let row;
    if (option.choices.length) {
      const select = make("select", {}, ...option.choices.map((choice) => make("option", { value: choice }, choice)));
      select.value = option.default;
      select.addEventListener("change", () => set(option, { yes: true, no: false }[select.value] ?? select.value));
      row = make("label", { className: "pair" }, title, select);
    } else if (typeof option.default === "boolean") {
      const box = make("input", { type: "checkbox", checked: option.default });
      box.addEventListener("change", () => set(option, box.checked));
      row = make("label", { className: "row" }, box, title);
    } else {
      const slider = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: option.default });
      const said = make("output", {}, Number(option.default).toFixed(2));
      slider.addEventListener("input", () => {
        said.textContent = Number(slider.value).toFixed(2);
        set(option, Number(slider.value));
      });
      row = make("label", { className: "slide" }, make("span", {}, title), slider, said);
    }
    const control = row.querySelector("input, select");
    control.dataset.option = option.name;
    control.setAttribute("aria-describedby", meaning.id);
    $("options").append(make("div", { className: "option" }, row, meaning));
  }
  $("modes").addEventListener("change", (event) => {
    state.options.shape = event.target.value !== "texture";
    state.options.texture = event.target.value !== "shape";
    changed();
  });
}

function set(option, value) {
  state.options[option.name] = value;
  changed();
}

function buildPaint() {
  paint = new Paint($("canvas"), $("ring"), facts.label_size, facts.unpainted, facts.colours, changed);
  const size = (value) => {
    $("size").value = value;
    $("size-said").textContent = $("size").value;
    paint.radius = $("size").value / 2;
  };
  size(24);
  $("size").addEventListener("input", () => size($("size").value));
  $("canvas").addEventListener("resizebrush", (event) => size(Number($("size").value) + event.detail));
  $("opacity").addEventListener("input", () => {
    $("canvas").style.opacity = $("opacity").value / 100;
    $("opacity-said").textContent = `${$("opacity").value}%`;
  });
  const told = (text) => ($("said").textContent = text);
  $("undo").addEventListener("click", () => (paint.undo(), told("undone")));
  $("redo").addEventListener("click", () => (paint.redo(), told("done again")));
  $("reset").addEventListener("click", () => (paint.reset(), told("all paint removed")));
  $("paint-toggle").addEventListener("click", openPaint);
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || $("paint").hidden) return;
    const key = event.key.toLowerCase();
    if (key === "z" && !event.shiftKey) paint.undo();
    else if (key === "y" || (key === "z" && event.shiftKey)) paint.redo();
    else return;
    event.preventDefault();
  });
}

function buildStage() {
  const share = $("share");
  const slide = () => {
    $("compare").style.setProperty("--share", share.value);
    $("share-said").textContent = { 0: "after", 100: "before" }[share.value] ?? `${share.value}%`;
  };
  share.addEventListener("input", slide);
  const drag = (event) => {
    if (!event.buttons || $("slide").hidden) return;
    const box = $("compare").getBoundingClientRect();
    share.value = Math.round((100 * (event.clientX - box.left)) / box.width);
    slide();
  };
  $("compare").addEventListener("pointerdown", drag);
  $("compare").addEventListener("pointermove", drag);
  $("views").addEventListener("change", (event) => {
    state.view = event.target.value;
    changed();
  });
  for (const suffix of facts.formats) $("format").append(make("option", { value: suffix }, suffix.slice(1).toUpperCase()));
  $("download").addEventListener("click", () => save("/api/download", { format: $("format").value }, `${stem()}-swapped${$("format").value}`));
  $("sheet").addEventListener("click", () => save("/api/sheet", {}, `${stem()}-sheet.png`));
  $("continue").addEventListener("click", proceed);
  $("exchange").addEventListener("click", exchange);
  $("render").addEventListener("click", render);
  const another = $("another");
  another.append(dropPlace(another, "Add a source", "", (files) => add(files, "source"), true), errorPlace("source"));
  $("forget").addEventListener("click", async () => {
    await api.forget().catch(() => {});
    Object.assign(state, { target: null, sources: [], active: 0 });
    paint.clear();
    showPeople();
    changed();
  });
  addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (files.length) add(state.target ? files : files.slice(0, 1), state.target ? "source" : "target");
  });
  // A photo dropped beside a card would replace the page.
  for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
}

async function start() {
  facts = await api.about();
  $("engine").textContent = `${facts.model}, ${facts.size} × ${facts.size}, on ${facts.device}; faces: ${facts.landmarks}`;
  showNote(facts.notice, "e4s-notice");
  showNote(facts.demo, "e4s-demo");
  buildPaint();
  buildRegions();
  buildOptions();
  buildStage();
  showPeople();
  document.body.dataset.ready = "yes";
}

start().catch((error) => showNote(`The page cannot start: ${error.message}`));
