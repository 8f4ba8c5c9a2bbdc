// A pipeline as a picture: boxes in the order they work, joined by lines as wide as what flows in them.

import { el, fill, svg } from "../page/dom.js";
import { sceneName } from "../page/facts.js";
import { number, say } from "../page/say.js";
import { columns } from "../page/trace.js";
import { figure } from "./format.js";
import { chip, link } from "./ui.js";

/** The picture of a scenario as its file or bundle has it (`GET /v1/scenarios/{name}`). */
export function recipeFlow(recipe) {
  const [first, ...rest] = recipe.stages;
  const sources = first?.of.length ? first.of : first ? [first] : [];
  const steps = first?.of.length ? [first, ...rest] : rest;
  const slowest = Math.max(0.001, ...[...sources, ...steps].map((stage) => stage.ms ?? 0));
  const box = (stage) => ({
    name: stage.name, role: stage.role, optional: stage.optional, ms: stage.ms, share: (stage.ms ?? 0) / slowest,
    note: [stage.take && say("takes", { n: number(stage.take) }), ...Object.entries(stage.settings).map(([key, value]) => `${key} ${brief(value)}`)]
      .filter(Boolean).join(" · "),
  });
  return flow(sources.map(box), steps.map(box), { places: recipe.slate, fallback: recipe.fallback });
}

/** The picture of one answer: how many candidates went in and out of every stage, and where the rest went. */
export function traceFlow(found) {
  const brought = columns(found, "rank:");
  const begins = found.stages.filter((stage) => stage.before === 0);
  const sources = begins.length > 1 ? begins.filter((stage) => brought.includes(stage.name) || stage.skipped) : begins;
  const steps = found.stages.filter((stage) => !sources.includes(stage));
  const slowest = Math.max(0.001, ...found.stages.map((stage) => stage.ms));
  const lost = (name) => found.candidates.filter((row) => row.dropped === name).length;
  const box = (stage) => ({
    name: stage.name, ms: stage.ms, share: stage.ms / slowest, skipped: stage.skipped, count: stage.after,
    role: sources.includes(stage) ? "source" : stage.before === 0 ? "union" : "",
    note: sources.includes(stage) ? say("brought", { n: number(stage.after) })
      : [say("in-out", { before: number(stage.before || sum(sources)), after: number(stage.after) }), lost(stage.name) && say("lost", { n: number(lost(stage.name)) })]
        .filter(Boolean).join(" · "),
  });
  const shown = found.candidates.filter((row) => row.place != null).length;
  return flow(sources.map(box), steps.map(box), { places: shown, cut: lost("cut") });
}

const sum = (stages) => stages.reduce((total, stage) => total + stage.after, 0);

function brief(value) {
  const text = typeof value === "number" ? figure(value) : typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}

function flow(sources, steps, { places, fallback, cut }) {
  const wires = svg("svg", { class: "wires", "aria-hidden": "true" });
  const end = el("li", { class: "stage slate" }, el("span", { class: "role" }, say("role-slate")),
    el("strong", {}, say("places", { n: number(places) })), cut > 0 && el("p", {}, say("cut-count", { n: number(cut) })));
  const heads = sources.map(stage);
  const tail = [...steps.map(stage), end];
  const row = el("ol", { class: "steps" }, el("li", {}, el("ul", { class: "sources", "aria-label": say("sources") }, heads)), tail);
  const picture = el("div", { class: "flow" }, wires, row);
  const counts = [...sources, ...steps].map((each) => each.count);
  const most = Math.max(1, ...counts.filter((count) => count != null));
  const width = (each) => (each.count == null ? 2 : Math.max(1.5, 12 * Math.sqrt(each.count / most)));
  const join = () => {
    const here = picture.getBoundingClientRect();
    wires.setAttribute("width", here.width);
    wires.setAttribute("height", here.height);
    const pairs = [...heads.map((node, at) => [node, tail[0], sources[at]]), ...steps.map((each, at) => [tail[at], tail[at + 1], each])];
    fill(wires, pairs.map(([from, to, each]) => wire(from.getBoundingClientRect(), to.getBoundingClientRect(), here, width(each), each.skipped)));
  };
  new ResizeObserver(join).observe(picture);
  return el("div", {}, picture, fallback && el("p", { class: "hint fallback" }, say("falls-back"), " ", link(sceneName(fallback), "scenarios", fallback)));
}

function stage({ name, role, note, ms, share, optional, skipped }) {
  const bar = el("span", { class: "cost", "aria-hidden": "true" });
  bar.style.setProperty("--share", share || 0);
  return el("li", { class: `stage ${role} ${skipped ? "off" : ""}` },
    role && el("span", { class: "role" }, say(`role-${role}`)),
    el("strong", {}, name),
    note && el("p", {}, note),
    el("p", { class: "soft" }, skipped ? `${say("skipped")}: ${skipped}` : ms == null ? say("not-measured") : `${figure(ms, 2)} ms`),
    optional && chip(say("optional")), bar);
}

/** From the right of one box to the left of the next; from bottom to top where they stand below each other. */
function wire(from, to, here, width, skipped) {
  const beside = to.left >= from.right - 1;
  const [x1, y1] = beside ? [from.right, from.top + from.height / 2] : [from.left + from.width / 2, from.bottom];
  const [x2, y2] = beside ? [to.left, to.top + to.height / 2] : [to.left + to.width / 2, to.top];
  const bend = (beside ? x2 - x1 : y2 - y1) / 2;
  const d = [[x1, y1], beside ? [x1 + bend, y1] : [x1, y1 + bend], beside ? [x2 - bend, y2] : [x2, y2 - bend], [x2, y2]]
    .map(([x, y]) => `${(x - here.left).toFixed(1)} ${(y - here.top).toFixed(1)}`);
  return svg("path", { class: skipped ? "wire off" : "wire", d: `M${d[0]}C${d.slice(1).join(",")}`, "stroke-width": width });
}
