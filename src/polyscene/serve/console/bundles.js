// Bundles: how the figures went from fit to fit, two of them side by side, and which one serves.

import * as api from "../page/api.js";
import { el, fill } from "../page/dom.js";
import { sceneName } from "../page/facts.js";
import { number, say } from "../page/say.js";
import { Chart } from "./chart.js";
import { day, figure, minute, signed, when } from "./format.js";
import { ask, chip, code, deed, empty, head, lines, moment, panel, table, tellAll } from "./ui.js";

const FIRST_METRIC = "ndcg@10";
const MAIN = ["ndcg@10", "hr@10", "coverage@10"];

export async function page({ signal, go }) {
  const all = await api.bundles(signal);
  const names = [...new Set(all.map((each) => each.scenario))];
  const again = () => go("/console/bundles");
  return { title: say("bundles"), content: [
    head(say("bundles"), say("bundles-lead")),
    names.length ? names.map((name) => panel(sceneName(name), () => shelf(name, all.filter((each) => each.scenario === name), { signal, again })))
      : empty(say("no-bundles"), code("polyscene train")),
  ] };
}

/** All bundles of one scenario, newest first. */
function shelf(name, bundles, { signal, again }) {
  const metrics = [...new Set(bundles.flatMap((each) => Object.keys(each.metrics)))];
  const current = bundles.find((each) => each.current);
  const columns = [
    { head: say("bundle"), wide: true, cell: (row) => [code(row.bundle), row.current && chip(say("serves"), "good")] },
    { head: say("fitted"), cell: (row) => moment(row.created) },
    ...MAIN.filter((metric) => metrics.includes(metric)).map((metric) => ({ head: metric, right: true, cell: (row) => figure(row.metrics[metric], 4) })),
    { cell: (row) => !row.current && deed(say("promote"), "admin", async () => promote(name, row, current, again)) },
  ];
  return [
    metrics.length > 0 && bundles.length > 1 && curve(bundles, metrics),
    table(sceneName(name), columns, bundles),
    bundles.length > 1 && el("div", { class: "actions left" }, current && deed(say("roll-back"), "admin", async () => back(name, current, again)),
      comparison(bundles, metrics)),
    el("details", { class: "how", ontoggle: (event) => past(event, name, signal) }, el("summary", {}, say("promotions")), el("div", {})),
  ];
}

function curve(bundles, metrics) {
  const oldest = [...bundles].reverse();
  const chart = new Chart({ label: say("metric-history"), x: (time) => `${day(time)} ${minute(time)}`, y: (value) => figure(value, 4), zero: false, height: 160 });
  const choice = el("select", { "aria-label": say("metric") }, metrics.map((name) => el("option", { selected: name === FIRST_METRIC }, name)));
  const draw = () => chart.update(oldest.map((each) => each.created), [{ name: choice.value, values: oldest.map((each) => each.metrics[choice.value] ?? null) }]);
  choice.addEventListener("change", draw);
  if (metrics.includes(FIRST_METRIC)) choice.value = FIRST_METRIC;
  draw();
  return el("div", { class: "curve" }, el("div", { class: "choose" }, choice), chart.node);
}

/** Two bundles, metric by metric. */
function comparison(bundles, metrics) {
  const box = el("div", {});
  const pick = (label, at) => {
    const node = el("select", {}, bundles.map((each) => el("option", { value: each.bundle }, `${each.bundle}${each.current ? ` (${say("serves")})` : ""}`)));
    node.value = bundles[at].bundle;
    node.addEventListener("change", draw);
    return { node, label: el("label", { class: "field" }, el("span", {}, label), node) };
  };
  const of = (choice) => bundles.find((each) => each.bundle === choice.node.value);
  const draw = () => {
    const [one, two] = [of(before), of(after)];
    fill(box, table(say("comparison"), [
      { head: say("metric"), cell: (row) => row },
      { head: say("before"), right: true, cell: (row) => figure(one.metrics[row], 4) },
      { head: say("after"), right: true, cell: (row) => figure(two.metrics[row], 4) },
      { head: say("difference"), right: true, cell: (row) => difference(one.metrics[row], two.metrics[row]) },
    ], metrics, { none: say("no-metrics") }));
  };
  const before = pick(say("before"), 1), after = pick(say("after"), 0);
  draw();
  return el("details", { class: "how" }, el("summary", {}, say("compare")), el("div", { class: "form" }, before.label, after.label), box);
}

function difference(one, two) {
  if (one == null || two == null) return "–";
  const share = one ? ` (${signed(((two - one) / Math.abs(one)) * 100, 1)} %)` : "";
  return el("span", { class: two > one ? "up" : two < one ? "down" : "soft" }, `${signed(two - one)}${share}`);
}

function promote(name, row, current, again) {
  const force = el("input", { type: "checkbox" });
  ask({
    title: say("promote-title", { scene: sceneName(name) }),
    text: [lines([[say("bundle"), code(row.bundle)], [say("instead-of"), current && code(current.bundle)]]),
      el("span", {}, say("promote-text")), el("label", { class: "check" }, force, say("force"))],
    yes: say("promote"),
    work: async () => {
      const change = await api.promote(name, { bundle: row.bundle, instead_of: current?.bundle ?? null, force: force.checked });
      tellAll(say("now-serves", { bundle: change.bundle, scene: sceneName(name) }));
      again();
    },
  });
}

function back(name, current, again) {
  ask({
    title: say("roll-back-title", { scene: sceneName(name) }),
    text: [lines([[say("serves"), code(current.bundle)]]), say("roll-back-text")],
    yes: say("roll-back"),
    work: async () => {
      const change = await api.rollBack(name, current.bundle);
      tellAll(say("now-serves", { bundle: change.bundle, scene: sceneName(name) }));
      again();
    },
  });
}

/** Who took whose place, once somebody wants to know. */
async function past(event, name, signal) {
  const box = event.target.lastElementChild;
  if (!event.target.open || box.childElementCount) return;
  const made = panel(say("promotions"), async () => table(say("promotions"), [
    { head: say("time"), cell: (row) => when(row.at) },
    { head: say("deed"), cell: (row) => say(row.action === "promote" ? "promoted" : "rolled-back") },
    { head: say("bundle"), cell: (row) => code(row.bundle) },
    { head: say("instead-of"), cell: (row) => (row.instead_of ? code(row.instead_of) : "–") },
    { head: say("note"), cell: (row) => row.forced ?? "" },
  ], await api.promotions(name, signal), { none: say("no-promotions", { n: number(0) }) }), { plain: true });
  fill(box, made);
}
