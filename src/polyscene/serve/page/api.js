// The service, as functions. A failed call throws a Problem with what the service said.

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }

  /** The server is older than this page, or built without this part. */
  get missing() {
    return this.status === 405 || (this.status === 404 && this.message.startsWith("nothing lives at"));
  }
}

let token = "";

async function call(path, { headers, ...options } = {}) {
  const word = token && options.method ? { "X-CSRF-Token": token } : {};
  let reply;
  try {
    reply = await fetch(path, { ...options, headers: { ...word, ...headers } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "");
  }
  const body = await reply.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    return null; // no JSON: then the status alone must do
  });
  if (!reply.ok) throw new Problem(reply.status, body?.detail || reply.statusText);
  return body;
}

const send = (path, body, signal, method = "POST") =>
  call(path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal });

const at = (path, params) => `${path}?${new URLSearchParams(params)}`;
const of = (kind, id, rest = "") => `/v1/${kind}/${encodeURIComponent(id)}${rest}`;

/** Without the parameters that are not given. */
const given = (params) => Object.fromEntries(Object.entries(params).filter(([, value]) => value != null && value !== ""));

export const scenarios = async () => (await call("/v1/scenarios")).scenarios;
export const scenario = (name, signal) => call(of("scenarios", name), { signal });
export const rehearse = (name, ask, signal) => send(of("scenarios", name, "/try"), ask, signal);
export const recommend = (ask, signal) => send("/v1/recommend", ask, signal);

export const users = async (n) => (await call(at("/v1/users", { n, sample: true }))).users;
export const usersFrom = (n, cursor, signal) => call(at("/v1/users", given({ n, cursor })), { signal });
export const user = (id, signal) => call(of("users", id), { signal });
export const erase = (id) => call(of("users", id), { method: "DELETE" });
export const history = async (id, n, signal) => (await call(at(of("users", id, "/history"), { n }), { signal })).events;

export const search = async (query, n, signal) => (await call(at("/v1/items", { query, n }), { signal })).items;
export const itemsFrom = (query, n, cursor, signal) => call(at("/v1/items", given({ query, n, cursor })), { signal });
export const item = (id, signal) => call(of("items", id), { signal });
export const activity = async (id, signal) => (await call(of("items", id, "/activity"), { signal })).days;

export const eventsFrom = (params, signal) => call(at("/v1/events", given(params)), { signal });
export const post = (event) => send("/v1/events", { events: [event] });

export const requests = (params, signal) => call(at("/v1/requests", given(params)), { signal });
export const trace = (request, signal) => call(of("requests", request), { signal });
export const replay = (request) => send(of("requests", request, "/replay"), {});

export const overview = (step, signal) => call(at("/v1/overview", { step }), { signal });
export const quality = (signal) => call("/v1/quality", { signal });

export const bundles = async (signal) => (await call("/v1/bundles", { signal })).bundles;
export const promotions = async (scenario, signal) => (await call(of("bundles", scenario, "/history"), { signal })).promotions;
export const promote = (scenario, wish) => send(of("bundles", scenario, "/promote"), wish);
export const rollBack = (scenario, instead) => send(of("bundles", scenario, "/roll_back"), { instead_of: instead });

export const jobs = async (signal) => (await call("/v1/jobs", { signal })).jobs;
export const job = (id, signal) => call(of("jobs", id), { signal });
export const startJob = (kind, wish) => send("/v1/jobs", { kind, arguments: wish });
export const cancelJob = (id) => call(of("jobs", id), { method: "DELETE" });

/** Who this browser acts for; from here on, every call that changes something carries the session's word. */
export const session = async () => signed(await call("/v1/session"));
export const signIn = async (key) => signed(await send("/v1/session", { key }));
export const signOut = async () => signed(await call("/v1/session", { method: "DELETE" }));

function signed(found) {
  token = found.csrf ?? "";
  return found;
}

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
