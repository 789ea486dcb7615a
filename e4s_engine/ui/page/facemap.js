// The face map: a drawing whose regions are check boxes.

const SVG = "http://www.w3.org/2000/svg";

// In the order in which they are drawn; later ones lie on top.
const SHAPES = {
  background: "M-200 -1H440V221H-200Z",
  hair: "M120 14C70 14 50 50 50 96C50 140 44 168 56 192L82 186V90C96 86 108 74 112 60C120 80 146 88 158 92V186L184 192C196 168 190 140 190 96C190 50 170 14 120 14Z",
  neck: "M98 160H142V186C150 196 172 200 186 206V220H54V206C68 200 90 196 98 186Z",
  ears: "M80 98C70 92 66 104 70 116C72 126 78 132 82 128ZM160 98C170 92 174 104 170 116C168 126 162 132 158 128Z",
  skin: "M80 84C80 64 96 52 120 52C144 52 160 64 160 84V122C160 150 140 178 120 178C100 178 80 150 80 122Z",
  earrings: "M68 134a6 6 0 1 0 12 0a6 6 0 1 0 -12 0ZM160 134a6 6 0 1 0 12 0a6 6 0 1 0 -12 0Z",
  eyebrows: "M88 84Q99 75 112 82V87Q99 81 89 89ZM128 82Q141 75 152 84L151 89Q141 81 128 87Z",
  glasses: "M84 94H114V114Q99 122 84 114ZM126 94H156V114Q141 122 126 114ZM114 99Q120 95 126 99",
  eyes: "M90 103Q99 95 109 103Q99 110 90 103ZM131 103Q141 95 150 103Q141 110 131 103Z",
  nose: "M116 100H124L131 130Q130 137 120 137Q110 137 109 130Z",
  lips: "M101 152Q111 145 120 149Q129 145 139 152Q130 166 120 166Q110 166 101 152Z",
  mouth: "M107 153Q120 151 133 153Q126 159 120 159Q114 159 107 153Z",
};

const NAMES = { skin: "skin of the face", mouth: "mouth, inside" };
export const spoken = (region) => NAMES[region] ?? region;

/** Draw the map into a box. toggle: called with a region's name. Returns a function that shows which are chosen. */
export function draw(box, colours, toggle) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 240 220");
  svg.setAttribute("role", "group");
  svg.setAttribute("aria-label", "Face map: regions to take");
  const parts = {};
  for (const [region, shape] of Object.entries(SHAPES)) {
    const part = document.createElementNS(SVG, "path");
    part.setAttribute("d", shape);
    part.setAttribute("role", "checkbox");
    part.setAttribute("tabindex", "0");
    part.setAttribute("aria-label", spoken(region));
    part.dataset.region = region;
    if (region === "glasses") part.classList.add("frame");
    const title = document.createElementNS(SVG, "title");
    title.textContent = spoken(region);
    part.append(title);
    part.addEventListener("click", () => toggle(region));
    part.addEventListener("keydown", (event) => {
      if (event.key === " " || event.key === "Enter") {
        event.preventDefault();
        toggle(region);
      }
    });
    svg.append(part);
    parts[region] = part;
  }
  box.replaceChildren(svg);
  return (chosen, elsewhere) => {
    for (const [region, part] of Object.entries(parts)) {
      const on = chosen.has(region);
      part.setAttribute("aria-checked", String(on));
      const paint = region === "glasses" ? "stroke" : "fill";
      const faded = `color-mix(in srgb, ${colours[region]} 35%, var(--raised))`;
      part.style[paint] = on ? colours[region] : elsewhere.has(region) ? faded : "";
      part.firstChild.textContent = elsewhere.has(region) ? `${spoken(region)}: given by ${elsewhere.get(region)}` : spoken(region);
    }
  };
}
