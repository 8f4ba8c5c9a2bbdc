// Data quality: what is odd about the data, how bad it is, and how to mend it.

import * as api from "../page/api.js";
import { el, fill } from "../page/dom.js";
import { number, percent, say } from "../page/say.js";
import { Chart } from "./chart.js";
import { figure, short } from "./format.js";
import { chip, deed, empty, head, lineup, moment, panel, table } from "./ui.js";

const REFRESH_MS = 1500;
const OPEN = ["queued", "running"];
const TONES = { bad: "bad", warn: "warn", note: "" };

export async function page({ signal, every, go }) {
  const { report } = await api.quality(signal);
  const state = el("div", { "aria-live": "polite" });
  let mine = null;
  const look = deed(say(report ? "look-again" : "look-now"), "admin", async () => {
    mine = (await api.startJob("quality", {})).id;
    await follow();
  }, report ? "" : "strong");
  const follow = async () => {
    if (!mine) return;
    const job = await api.job(mine, signal);
    if (OPEN.includes(job.state)) return fill(state, el("p", { class: "hint" }, say("looking"), " ", percent(job.progress)));
    mine = null;
    if (job.state === "done") return go("/console/quality");
    return fill(state, el("p", { class: "error" }, job.error || say(`state:${job.state}`)));
  };
  every(REFRESH_MS, follow);
  const start = [head(say("quality"), say("quality-lead"), look), state];
  return { title: say("quality"), content: report ? [...start, ...shown(report)] : [...start, empty(say("never-looked"))] };
}

const shown = (report) => [
  panel(say("seen-at-a-glance"), () => lineup([[say("looked"), moment(report.made)], ...report.facts]),
    { hint: report.notes.join(" · ") }),
  panel(say("findings"), () => (report.findings.length ? el("ul", { class: "findings" }, report.findings.map(finding)) : empty(say("no-findings")))),
  el("div", { class: "pair" }, report.plots.map((plot) => el("section", { class: "panel" }, drawn(plot), el("p", { class: "hint" }, plot.hint))),
    Object.keys(report.languages).length > 0 && el("section", { class: "panel" }, languages(report.languages))),
  panel(say("columns"), () => columns(report.columns)),
];

const finding = (each) => el("li", { class: each.severity },
  el("div", {}, el("h3", {}, each.title), chip(say(`severity:${each.severity}`), TONES[each.severity])),
  el("p", {}, each.seen),
  el("dl", {}, el("dt", {}, say("why")), el("dd", {}, each.why), el("dt", {}, say("mend")), el("dd", {}, each.mend)));

function drawn({ title, kind, labels, values, xs }) {
  if (kind === "columns") return bars(title, labels, values);
  return new Chart({ label: title, x: (share) => percent(Math.round(share * 100) / 100), y: (share) => percent(Math.round(share * 100) / 100), newest: false })
    .update(xs, [{ name: say("share"), values }]).node;
}

const bars = (title, labels, values) =>
  new Chart({ label: title, x: (label) => label, y: short, shape: "bars", newest: false }).update(labels, [{ name: say("number"), values }]).node;

function languages(shares) {
  const found = Object.entries(shares).sort((a, b) => b[1] - a[1]).slice(0, 10);
  const chart = new Chart({ label: say("languages"), x: (name) => name, y: (share) => percent(Math.round(share * 1000) / 1000), shape: "bars", newest: false });
  return chart.update(found.map(([name]) => name), [{ name: say("share"), values: found.map(([, share]) => share) }]).node;
}

const columns = (found) => table(say("columns"), [
  { head: say("column"), cell: (row) => `${row.table}.${row.column}` },
  { head: say("type"), cell: (row) => row.type },
  { head: say("missing"), right: true, cell: (row) => percent(row.missing) },
  { head: say("distinct"), right: true, cell: (row) => number(row.distinct) },
  { head: say("lowest"), right: true, cell: (row) => (row.type === "time" ? moment(row.low) : figure(row.low)) },
  { head: say("highest"), right: true, cell: (row) => (row.type === "time" ? moment(row.high) : figure(row.high)) },
  { head: say("example"), wide: true, cell: (row) => row.example },
], found);
