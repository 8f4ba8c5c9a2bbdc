// Items: a search over all of them; of one, what is known, what is like it, how often it was shown and taken.

import * as api from "../page/api.js";
import { el, fill, later } from "../page/dom.js";
import { facts, sceneName } from "../page/facts.js";
import { number, say } from "../page/say.js";
import { Chart } from "./chart.js";
import { ago, day, short, when } from "./format.js";
import { feed } from "./feed.js";
import { slate, naming } from "./slate.js";
import { chip, code, empty, head, itemLink, lines, lineup, link, more, panel, table, trouble, waiting } from "./ui.js";

const ROWS = 50;
const MOST = 200;
const DAY_MS = 86_400_000;
const DAYS = 120;
const SHOWN = "exposure";

export const page = (context) => (context.id === undefined ? list(context) : one(context));

async function list({ signal }) {
  const input = el("input", { type: "search", maxlength: "200", autocomplete: "off", spellcheck: "false" });
  const result = el("div", { "aria-live": "polite" });
  let turn = 0;
  const look = async () => {
    const mine = (turn += 1);
    const found = [];
    const next = more(null, () => part(next.cursor));
    const part = async (cursor) => {
      const words = input.value.trim();
      const page = await api.itemsFrom(words, words ? MOST : ROWS, cursor, signal);
      if (mine !== turn) return;
      found.push(...page.items);
      next.cursor = page.cursor;
      next.hidden = !page.cursor;
      fill(result, found.length === MOST && words && el("p", { class: "hint" }, say("first-of", { n: number(MOST) })), table(say("items"), COLUMNS(), found, { none: say("none-found") }), next);
    };
    try {
      await part();
    } catch (error) {
      const unasked = error.status === 422 && !input.value.trim();
      if (error.name !== "AbortError" && mine === turn) fill(result, unasked ? empty(say("search-first")) : trouble(error, look));
    }
  };
  input.addEventListener("input", later(look, 180));
  const form = el("form", { class: "form line", role: "search", onsubmit: (event) => (event.preventDefault(), look()) },
    el("label", { class: "field" }, el("span", {}, say("find")), input));
  fill(result, waiting());
  look();
  return { title: say("items"), content: [head(say("items"), say("items-lead")), el("section", { class: "panel" }, form, result)] };
}

const COLUMNS = () => [
  { head: say("title"), wide: true, cell: (row) => itemLink(row) },
  { head: say("id"), cell: (row) => code(row.id) },
  { head: say("kind"), cell: (row) => row.kind },
  { head: say("attributes"), wide: true, cell: (row) => el("span", { class: "soft" }, brief(row.attributes)) },
];

const brief = (attributes) => Object.entries(attributes ?? {}).filter(([name]) => name !== "title" && name !== "name")
  .slice(0, 4).map(([, value]) => (Array.isArray(value) ? value.slice(0, 3).join(", ") : String(value))).join(" · ");

async function one({ id, signal, every }) {
  const item = await api.item(id, signal);
  return { title: facts(item).title, content: [
    head(facts(item).title, null),
    el("div", { class: "pair" },
      el("div", { class: "stack" }, panel(say("known"), () => known(item)), panel(say("activity"), () => activity(id, signal), { hint: say("activity-hint") })),
      panel(say("similar"), () => similar(id, signal))),
    feed({ title: say("recent-events"), item: id, signal, every }),
  ] };
}

const text = (value) => (Array.isArray(value) ? value.map((each) => chip(String(each))) : String(value));

const known = (item) => lines([
  [say("id"), code(item.id)],
  [say("kind"), item.kind],
  [say("may-show"), chip(say(item.active === false ? "no" : "yes"), item.active === false ? "bad" : "good")],
  [say("put-at"), item.put_at > 0 && `${when(item.put_at)} (${ago(item.put_at)})`],
  ...Object.entries(item.attributes ?? {}).map(([name, value]) => [name, text(value)]),
]);

/** Neighbours by a scenario that works from the items at hand; rehearsed, so that no exposure is logged. */
async function similar(id, signal) {
  const scenario = (await api.scenarios()).find((each) => each.anchored && each.bundle);
  if (!scenario) return empty(say("no-similar"));
  const { answer } = await api.rehearse(scenario.name, { context: { anchors: [id] }, k: 10 }, signal);
  return [el("p", { class: "hint" }, say("similar-by"), " ", link(sceneName(scenario.name), "scenarios", scenario.name)),
    slate(answer.items.map((each) => ({ ...each, because: null })), await naming(answer.items))];
}

/** Slates that showed it, and what people did with it, by day. */
async function activity(id, signal) {
  const found = await api.activity(id, signal);
  if (!found.length) return empty(say("no-activity"));
  const last = Math.max(...found.map((each) => each.day));
  const first = Math.max(Math.min(...found.map((each) => each.day)), last - (DAYS - 1) * DAY_MS);
  const days = Array.from({ length: (last - first) / DAY_MS + 1 }, (_, at) => first + at * DAY_MS);
  const actions = [...new Set(found.map((each) => each.action))];
  const counts = (action) => {
    const by = new Map(found.filter((each) => each.action === action).map((each) => [each.day, each.count]));
    return { name: action, values: days.map((each) => by.get(each) ?? 0) };
  };
  const draw = (label, names) => new Chart({ label, x: day, y: short, shape: "bars", height: 160 }).update(days, names.map(counts)).node;
  const acts = actions.filter((name) => name !== SHOWN);
  const sum = (names) => found.filter((each) => names.includes(each.action)).reduce((total, each) => total + each.count, 0);
  return [
    lineup([[say("times-shown"), number(sum([SHOWN]))], [say("times-acted"), number(sum(acts))], [say("days"), found.length && `${day(Math.min(...found.map((each) => each.day)))} – ${day(last)}`]]),
    actions.includes(SHOWN) && draw(say("exposures-by-day"), [SHOWN]),
    acts.length > 0 && draw(say("acts-by-day"), acts),
  ];
}
