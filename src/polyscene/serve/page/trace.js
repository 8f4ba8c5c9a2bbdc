// How a slate came about: stage by stage and candidate by candidate; the panel behind "How?".

import * as api from "./api.js";
import { byId, el, fill } from "./dom.js";
import { facts, sceneName } from "./facts.js";
import { number, say } from "./say.js";

const FIRST = 60;

/** Opens the panel for a shelf's answer. */
export async function openTrace(shelf) {
  const dialog = byId("trace");
  const request = shelf.answer.request_id;
  const inside = el("div", { class: "inside" }, el("p", {}, say("loading")));
  fill(dialog,
    el("header", {},
      el("h2", { id: "trace-title" }, say("trace-label", { scene: sceneName(shelf.scenario.name) })),
      el("button", { type: "button", autofocus: true, onclick: () => dialog.close() }, say("close"))),
    inside);
  dialog.onclick = (event) => event.target === dialog && dialog.close();
  if (!dialog.open) dialog.showModal();
  try {
    const found = await api.trace(request);
    const items = await named(found.chain);
    fill(inside, overview(found), found.chain.map((link) => [stages(link), candidates(link, items)]));
  } catch (error) {
    fill(inside, el("p", { class: "error" }, error.message || say("gone")));
  }
}

/** What is known of the first candidates of every scenario of a trace. */
export const named = (chain) =>
  api.details(chain.flatMap((link) => rows(link).slice(0, FIRST).map((row) => row.item)));

/** The button that answers a request again and says whether the slate is the same. */
export function replayer(found) {
  const said = el("p", { class: "replayed", role: "status" });
  const again = async () => {
    said.className = "replayed";
    said.textContent = say("replaying");
    try {
      const { equal } = await api.replay(found.request_id);
      said.classList.add(equal ? "good" : "bad");
      said.textContent = say(equal ? "replay-equal" : "replay-other");
    } catch (error) {
      said.classList.add("bad");
      said.textContent = error.message || say("gone");
    }
  };
  return el("div", { class: "row replay" }, el("button", { type: "button", onclick: again }, say("replay")), said);
}

function overview(found) {
  const first = found.chain[0];
  const lines = [
    [say("request"), found.request_id],
    [say("bundle"), found.bundle],
    [say("asked"), new Date(found.time).toLocaleString(document.documentElement.lang)],
    first && [say("seen-by"), seenBy(first)],
  ].filter(Boolean);
  return el("section", {},
    el("dl", {}, lines.map(([name, text]) => [el("dt", {}, name), el("dd", {}, text)])),
    found.notes.map((note) => el("p", { class: "hint" }, note)), replayer(found));
}

export const seenBy = (link) =>
  say("counts", { history: number(link.history), allowed: number(link.allowed), excluded: number(link.excluded) });

function stages(link) {
  const slowest = Math.max(...link.stages.map((stage) => stage.ms), 0.001);
  return el("section", {},
    el("h3", {}, `${say("stages")} · ${sceneName(link.scenario)}`),
    scroller(say("stages"), el("table", {},
      el("thead", {}, el("tr", {}, el("th", {}, say("stage")), figure("th", say("in")), figure("th", say("out")),
        figure("th", say("ms")), el("td", {}))),
      el("tbody", {}, link.stages.map((stage) => el("tr", { class: stage.skipped && "lost" },
        el("td", {}, stage.name), figure("td", number(stage.before)), figure("td", number(stage.after)),
        figure("td", number(stage.ms, 2)),
        el("td", {}, stage.skipped ? `${say("skipped")}: ${stage.skipped}`
          : bar(stage.ms / slowest))))))));
}

/** What is wider than the page scrolls in itself, also with the keyboard. */
export const scroller = (label, content) =>
  el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, content);

function bar(share) {
  const node = el("span", { class: "bar", "aria-hidden": "true" });
  node.style.setProperty("--share", share);
  return node;
}

/** Every candidate of one scenario, best first; `link` makes a title's node from an item. */
export function candidates(link, items, title = (item) => facts(item).title) {
  const all = rows(link);
  const sources = columns(link, "rank:");
  const after = columns(link, "after:").filter((name) => !sources.includes(name));
  const body = el("tbody");
  const more = el("button", { type: "button", onclick: () => draw(all.length) });
  const draw = async (count) => {
    const known = count > FIRST ? await api.details(all.map((row) => row.item)) : items;
    fill(body, all.slice(0, count).map((row) => candidate(row, title(known.get(row.item)), sources, after)));
    more.hidden = count >= all.length;
    more.textContent = say("more", { n: number(all.length - count) });
  };
  draw(FIRST);
  return el("section", {},
    el("h3", {}, `${say("candidates")} · ${number(all.length)}`),
    scroller(say("candidates"), el("table", {},
      el("thead", {}, el("tr", {}, el("th", {}, say("title")), sources.map((name) => figure("th", name)),
        after.map((name) => figure("th", `→ ${name}`)), el("th", {}, say("fate")))),
      body)),
    more);
}

function candidate(row, title, sources, after) {
  const shown = row.place != null;
  return el("tr", { class: shown ? "shown" : "lost" },
    el("td", {}, title),
    sources.map((name) => brought(row, name)),
    after.map((name) => figure("td", row[`after:${name}`] == null ? "" : number(row[`after:${name}`]))),
    el("td", {}, shown ? say("shown", { place: row.place + 1 })
      : row.dropped === "cut" ? say("cut") : say("dropped", { stage: row.dropped })));
}

/** The place a source gave the item, and its score where it has one. */
function brought(row, name) {
  const [rank, score] = [row[`rank:${name}`], row[`score:${name}`]];
  return el("td", { class: "figure" }, rank != null && el("b", {}, `#${rank + 1} `), score != null && number(score));
}

const figure = (tag, text) => el(tag, { class: "figure" }, text);

/** What stands behind a prefix in the columns of the candidates, in the order the stages ran. */
export function columns(link, prefix) {
  const names = new Set(link.candidates.flatMap((row) => Object.keys(row)).filter((name) => name.startsWith(prefix)));
  const order = link.stages.map((stage) => stage.name);
  return [...names].map((name) => name.slice(prefix.length)).sort((a, b) => order.indexOf(a) - order.indexOf(b));
}

/** The candidates: shown ones first, then by the last score they got, then by their best rank. */
function rows(link) {
  const last = columns(link, "after:").pop();
  const ranks = columns(link, "rank:");
  const score = (row) => row[`after:${last}`] ?? -Infinity;
  const best = (row) => Math.min(...ranks.map((name) => row[`rank:${name}`] ?? Infinity));
  const compare = (one, other) => (one === other ? 0 : one - other);
  return [...link.candidates].sort((a, b) =>
    compare(a.place ?? Infinity, b.place ?? Infinity) || compare(score(b), score(a)) || compare(best(a), best(b)));
}
