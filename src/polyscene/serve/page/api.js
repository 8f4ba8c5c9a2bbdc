// The service, as functions. A failed call throws a Problem with what the service said.

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function call(path, options) {
  let reply;
  try {
    reply = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "");
  }
  const body = await reply.json().catch(() => null);
  if (!reply.ok) throw new Problem(reply.status, body?.detail || reply.statusText);
  return body;
}

const send = (path, body, signal) =>
  call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal });

const at = (path, params) => `${path}?${new URLSearchParams(params)}`;

export const scenarios = async () => (await call("/v1/scenarios")).scenarios;
export const users = async (n) => (await call(at("/v1/users", { n }))).users;
export const history = async (user, n) =>
  (await call(at(`/v1/users/${encodeURIComponent(user)}/history`, { n }))).events;
export const search = async (query, n, signal) => (await call(at("/v1/items", { query, n }), { signal })).items;
export const recommend = (ask, signal) => send("/v1/recommend", ask, signal);
export const trace = (request) => call(`/v1/requests/${encodeURIComponent(request)}`);
export const replay = (request) => send(`/v1/requests/${encodeURIComponent(request)}/replay`, {});
export const post = (event) => send("/v1/events", { events: [event] });

const known = new Map();

/** What is known of the items, by id; each is asked for once. */
export async function details(ids) {
  const unknown = [...new Set(ids)].filter((id) => !known.has(id));
  for (let start = 0; start < unknown.length; start += 100) {
    const part = unknown.slice(start, start + 100);
    const found = await call(at("/v1/items", part.map((id) => ["id", id])));
    for (const id of found.missing) known.set(id, { id });
    for (const item of found.items) known.set(item.id, item);
  }
  return known;
}
