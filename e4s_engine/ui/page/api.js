// Calls of the server. Errors carry the server's message as it is, and what it is about.

export class ServerError extends Error {
  constructor(message, about) {
    super(message);
    this.about = about;
  }
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new ServerError("the server does not answer; is it still running?", "");
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let error = { error: text || `the server answered ${answer.status}`, about: "" };
  try {
    error = JSON.parse(text);
  } catch {
    // plain text: what stands before the server's own errors
  }
  throw new ServerError(error.error, error.about);
}

const post = (path, body) =>
  ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

export const about = async () => (await ask("/api/about")).json();

export const add = async (file, role) =>
  (await ask(`/api/photos?as=${role}`, { method: "POST", headers: { "content-type": "application/octet-stream" }, body: file })).json();

export const render = async (seed) => (await post("/api/rendered", { seed })).json();

export const remove = (id) => ask(`/api/photos/${id}`, { method: "DELETE" });

export const pick = async (id, face, align = "auto") => (await post(`/api/photos/${id}/face`, { face, align })).json();

export const drive = async (id, target) => (await post(`/api/photos/${id}/drive`, { target })).json();

export const forget = () => post("/api/forget", {});

/** Return {blob, seconds}: the result for the screen, and how long the swap itself took. */
export async function swap(body) {
  const answer = await post("/api/swap", body);
  const timing = /swap;dur=([\d.]+)/.exec(answer.headers.get("server-timing") ?? "");
  return { blob: await answer.blob(), seconds: timing ? timing[1] / 1000 : NaN };
}

export const bytes = async (path, body) =>
  new Uint8Array(await (await (body ? post(path, body) : ask(path))).arrayBuffer());

export const file = async (path, body) => (await post(path, body)).blob();
