// Users: who is known; of one, the history, what every scenario would show now, and what was asked before.

import * as api from "../page/api.js";
import { el, fill } from "../page/dom.js";
import { sceneName } from "../page/facts.js";
import { number, say } from "../page/say.js";
import { ago, figure, when } from "./format.js";
import { rehearsed } from "./slate.js";
import { ask, deed, empty, head, href, lineup, link, moment, more, panel, table, tellAll } from "./ui.js";

const ROWS = 50;
const HISTORY = 20;
const MOST = 1000;

export const page = (context) => (context.id === undefined ? list(context) : one(context));

async function list({ signal, go }) {
  const input = el("input", { maxlength: "512", autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
  const form = el("form", { class: "form line", onsubmit: (event) => {
    event.preventDefault();
    if (input.value.trim()) go(href("users", input.value.trim()));
  } }, el("label", { class: "field" }, el("span", {}, say("user-id")), input), el("button", { type: "submit", class: "strong" }, say("open")));
  const found = el("ul", { class: "grid" });
  const next = more(null, () => fetch(next.cursor));
  const fetch = async (cursor) => {
    const part = await api.usersFrom(ROWS, cursor, signal);
    found.append(...part.users.map((user) => el("li", {}, link(user.id ?? user, "users", user.id ?? user))));
    next.cursor = part.cursor;
    next.hidden = !part.cursor;
  };
  return { title: say("users"), content: [
    head(say("users"), say("users-lead")), el("section", { class: "panel" }, form),
    panel(say("known-users"), async () => {
      await fetch();
      return found.childElementCount ? [found, next] : empty(say("no-users"));
    }),
  ] };
}

async function one({ id, signal, go }) {
  const erase = () => ask({
    title: say("erase-title", { user: id }), text: say("erase-text"), yes: say("erase"), word: id,
    work: async () => {
      const gone = await api.erase(id);
      tellAll(say("erased", { user: id, n: number(gone.events ?? 0) }));
      go(href("users"));
    },
  });
  return { title: say("someone", { user: id }), content: [
    head(say("someone", { user: id }), null, deed(say("erase-user"), "admin", async () => erase(), "danger-quiet")),
    panel(say("known"), () => about(id, signal)),
    el("div", { class: "pair" },
      panel(say("past"), () => history(id, signal), { hint: say("past-hint") }),
      panel(say("asked-before"), () => asked(id, signal), { hint: say("asked-before-hint") })),
    panel(say("would-show"), () => wouldShow(id, signal), { hint: say("would-show-hint"), plain: true }),
  ] };
}

async function about(id, signal) {
  let found;
  try {
    found = await api.user(id, signal);
  } catch (error) {
    if (error.missing || error.status !== 404) throw error;
    return empty(say("user-unknown"));
  }
  const guests = found.guests ?? [];
  return lineup([
    [say("events"), number(found.events ?? 0)],
    [say("first-event"), found.first && when(found.first)],
    [say("last-event"), found.last && `${when(found.last)} (${ago(found.last)})`],
    found.answers_as !== id && [say("answers-as"), found.answers_as && link(found.answers_as, "users", found.answers_as)],
    guests.length > 0 && [say("guests"), guests.map((guest) => [link(guest, "users", guest), " "])],
    ...Object.entries(found.attributes ?? {}).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : String(value)]),
  ]);
}

async function history(id, signal) {
  const box = el("div", {});
  const draw = async (n) => {
    const events = await api.history(id, n, signal);
    const next = more(null, () => draw(Math.min(n * 3, MOST)));
    next.hidden = events.length < n || n >= MOST;
    fill(box, table(say("past"), [
      { head: say("item"), wide: true, cell: (row) => link(row.title || row.item, "items", row.item) },
      { head: say("action"), cell: (row) => row.action },
      { head: say("value"), right: true, cell: (row) => figure(row.value) },
      { head: say("time"), cell: (row) => moment(row.time) },
    ], events, { none: say("no-history") }), next);
  };
  await draw(HISTORY);
  return box;
}

const asked = (id, signal) => requestTable({ user: id, n: HISTORY }, signal);

/** Logged requests with their first titles, of one user or of everybody; earlier ones on demand. */
export async function requestTable(params, signal) {
  const box = el("div", {});
  const found = [];
  const draw = async (cursor) => {
    const part = await api.requests({ ...params, cursor }, signal);
    found.push(...part.requests);
    const next = more(null, () => draw(part.cursor));
    next.hidden = !part.cursor;
    fill(box, await rows(found, !params.user), next);
  };
  await draw();
  return box;
}

async function rows(found, whose) {
  const items = await api.details(found.flatMap((each) => each.items));
  const titles = (each) => each.items.slice(0, 3).map((item) => items.get(item)).map((item) => item.title ?? item.id).join(", ");
  return table(say("requests"), [
    { head: say("time"), cell: (row) => el("a", { href: href("requests", row.request_id) }, moment(row.time)) },
    { head: say("scenario"), cell: (row) => sceneName(row.scenario) },
    whose && { head: say("user"), cell: (row) => (row.user == null ? el("span", { class: "soft" }, say("visitor")) : link(row.user, "users", row.user)) },
    { head: say("shown-items"), wide: true, cell: (row) => [row.count ? titles(row) : say("empty-slate"), row.count > 3 && el("span", { class: "soft" }, ` +${number(row.count - 3)}`),
      row.notes.length > 0 && el("p", { class: "soft" }, row.notes.join(" · "))] },
  ].filter(Boolean), found, { none: say("no-requests") });
}

/** Every scenario's slate for the user, as it would be this moment. */
async function wouldShow(id, signal) {
  const [found, last] = await Promise.all([api.scenarios(), api.history(id, 1, signal)]);
  const trained = found.filter((each) => each.bundle);
  if (!trained.length) return empty(say("no-bundles"));
  return el("div", { class: "slates" }, trained.map((each) => panel(sceneName(each.name), () => {
    if (each.anchored && !last.length) return empty(say("needs-anchor"));
    const context = each.anchored ? { anchors: [last[0].item] } : undefined;
    return rehearsed(each.name, { user: id, k: Math.min(each.slate, 10), context }, signal);
  }, { hint: each.anchored && last.length ? say("anchor", { title: last[0].title }) : null })));
}
