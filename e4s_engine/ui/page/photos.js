// Cards of the photos: dropping, picking a face, removing.

/** Return an element. children: nodes and texts. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export function label(element, text) {
  element.setAttribute("aria-label", text);
  return element;
}

/** Return a place for files, by mouse, keyboard or drop. files: called with the photos that come. sources: several, and saved faces. */
export function dropPlace(card, title, hint, files, sources = false) {
  const accept = sources ? "image/*,.face,.safetensors" : "image/*";
  const input = label(make("input", { type: "file", accept, multiple: sources }), title);
  input.addEventListener("change", () => {
    if (input.files.length) files([...input.files]);
    input.value = "";
  });
  taking(card, files);
  return make("div", { className: "drop" }, make("strong", {}, title), make("span", { className: "small" }, hint), input);
}

/** Let files be dropped on an element. */
export function taking(card, files) {
  card.ondragover = (event) => {
    event.preventDefault();
    card.classList.add("over");
  };
  card.ondragleave = () => card.classList.remove("over");
  card.ondrop = (event) => {
    event.preventDefault();
    event.stopPropagation();
    card.classList.remove("over");
    const dropped = [...event.dataTransfer.files];
    if (dropped.length) files(dropped);
  };
}

/** Return a photo with its faces as buttons. pick: called with the number of a face. */
export function shot(photo, pick) {
  const image = make("img", { src: `/api/photos/${photo.id}/photo`, alt: photo.name, width: 1, height: 1 });
  image.removeAttribute("width");
  image.removeAttribute("height");
  const box = make("div", { className: "shot" }, image);
  if (photo.faces.length < 2 && photo.picked) return box;
  photo.faces.forEach((face, number) => {
    const xs = face.quad.map((corner) => corner[0]);
    const ys = face.quad.map((corner) => corner[1]);
    const inset = 0.2; // a face fills the middle of its crop
    const [left, right] = [Math.min(...xs), Math.max(...xs)];
    const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
    const button = make("button", { type: "button", title: face.warning ?? "" }, make("span", {}, String(number + 1)));
    label(button, `Face ${number + 1} of ${photo.faces.length}${face.warning ? `: ${face.warning}` : ""}`);
    button.setAttribute("aria-pressed", String(photo.picked?.number === number));
    const percent = (value) => `${100 * value}%`;
    Object.assign(button.style, {
      left: percent(left + inset * (right - left)),
      width: percent((1 - 2 * inset) * (right - left)),
      top: percent(top + inset * (bottom - top)),
      height: percent((1 - 2 * inset) * (bottom - top)),
    });
    button.addEventListener("click", () => pick(number));
    box.append(button);
  });
  return box;
}

/** Return what the page says of a photo's faces. */
export function told(photo) {
  if (!photo.picked) return "";
  if (photo.saved) {
    const { consent, licence } = photo.saved;
    return ["a saved face", consent && `consent: ${consent}`, licence && `licence: ${licence}`].filter(Boolean).join("; ");
  }
  const count = photo.faces.length;
  if (photo.picked.number === null) return "taken as an aligned portrait";
  const which = count === 1 ? "one face found" : `face ${photo.picked.number + 1} of ${count}`;
  const warning = photo.faces[photo.picked.number].warning;
  return warning ? `${which}; ${warning}` : which;
}
