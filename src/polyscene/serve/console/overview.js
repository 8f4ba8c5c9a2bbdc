// How the service is: traffic, times, errors, what came in last, what answers, what the machine has left.

import * as api from "../page/api.js";
import { el, fill } from "../page/dom.js";
import { sceneName } from "../page/facts.js";
import { number, percent, say } from "../page/say.js";
import { Chart } from "./chart.js";
import { ago, bytes, figure, lasting, milliseconds, minute, short } from "./format.js";
import { feed } from "./feed.js";
import { empty, gauge, head, lines, link, moment, panel, table } from "./ui.js";

const STEP_S = 5;
const REFRESH_MS = 3000;
const LAST_MINUTE = 60 / STEP_S;
const GROUPS = 5;

export async function page({ signal, every }) {
  const first = await api.overview(STEP_S, signal);
  const parts = { tiles: el("ul", { class: "tiles" }), problems: el("div", {}), routes: el("div", {}), serving: el("div", {}), machine: el("div", {}) };
  const charts = {
    rate: new Chart({ label: say("chart-rate"), x: minute, y: short, shape: "area" }),
    times: new Chart({ label: say("chart-times"), x: minute, y: (value) => `${short(value)} ms` }),
    errors: new Chart({ label: say("chart-errors"), x: minute, y: short, shape: "bars", height: 130 }),
  };
  const draw = (now) => {
    fill(parts.problems, problems(now.problems));
    fill(parts.tiles, tiles(now));
    curves(charts, lived(now.traffic));
    fill(parts.routes, routes(now.traffic));
    fill(parts.serving, serving(now.state));
    fill(parts.machine, machine(now));
  };
  draw(first);
  every(REFRESH_MS, async () => draw(await api.overview(STEP_S, signal)));
  return { title: say("overview"), content: [
    head(say("overview"), say("overview-lead")),
    parts.problems, parts.tiles,
    el("div", { class: "pair" }, el("section", { class: "panel" }, charts.rate.node), el("section", { class: "panel" }, charts.times.node)),
    el("div", { class: "pair" }, panel(say("routes"), () => parts.routes, { hint: say("routes-hint") }), el("section", { class: "panel" }, charts.errors.node)),
    el("div", { class: "pair" }, panel(say("serving"), () => parts.serving), panel(say("machine"), () => parts.machine)),
    feed({ title: say("events"), hint: say("events-hint"), signal, every }),
  ] };
}

const problems = (found) => found.length > 0 && el("div", { class: "trouble", role: "alert" },
  el("strong", {}, say("problems", { n: number(found.length) })), el("ul", {}, found.map((each) => el("li", {}, each))));

const total = (lists) => lists.reduce((sum, list) => sum + list.slice(-LAST_MINUTE).reduce((a, b) => a + b, 0), 0);

function tiles({ now, traffic, state }) {
  const asked = total(Object.values(traffic.requests));
  const failed = total([traffic.failed]);
  const last = traffic.p95_ms.slice(-LAST_MINUTE).filter((each) => each != null);
  const behind = state.position - state.absorbed;
  const tile = (name, value, note, tone) => el("li", { class: tone }, el("span", {}, name), el("strong", {}, value), el("small", {}, note));
  return [
    tile(say("tile-rate"), short(asked / 60), say("tile-rate-note")),
    tile(say("tile-p95"), last.length ? milliseconds(Math.max(...last)) : "–", say("tile-p95-note")),
    tile(say("tile-failed"), asked ? percent(failed / asked) : "–", say("tile-failed-note", { n: number(failed) }), failed && "bad"),
    tile(say("tile-newest"), ago(state.newest_event, now), behind ? say("tile-behind", { n: number(behind) }) : say("tile-absorbed"), behind && "warn"),
    tile(say("tile-log"), number(state.position), say("tile-log-note", { users: number(state.users), items: number(state.items) })),
  ];
}

/** The busiest groups by name, the rest as one. */
function grouped(traffic) {
  const size = (name) => traffic.groups[name].requests;
  const names = Object.keys(traffic.requests).sort((a, b) => size(b) - size(a));
  const rest = names.slice(GROUPS).map((name) => traffic.requests[name]);
  const found = names.slice(0, GROUPS).map((name) => ({ name, values: traffic.requests[name].map((n) => n / traffic.step_s) }));
  if (rest.length) found.push({ name: say("others"), values: traffic.starts.map((_, at) => rest.reduce((sum, list) => sum + list[at], 0) / traffic.step_s), tone: 6 });
  return found;
}

/** From the first request on, but two minutes at least: an empty past would only press the present to the edge. */
function lived(traffic) {
  const all = Object.values(traffic.requests);
  const first = traffic.starts.findIndex((_, at) => all.some((list) => list[at]));
  const from = Math.max(0, Math.min(first < 0 ? Infinity : first, traffic.starts.length - 2 * LAST_MINUTE));
  const tail = (list) => list.slice(from);
  return { ...traffic, starts: tail(traffic.starts), refused: tail(traffic.refused), failed: tail(traffic.failed),
    p50_ms: tail(traffic.p50_ms), p95_ms: tail(traffic.p95_ms), p99_ms: tail(traffic.p99_ms),
    requests: Object.fromEntries(Object.entries(traffic.requests).map(([name, list]) => [name, tail(list)])) };
}

function curves(charts, traffic) {
  charts.rate.update(traffic.starts, grouped(traffic));
  charts.times.update(traffic.starts, [
    { name: "p50", values: traffic.p50_ms, tone: 3 }, { name: "p95", values: traffic.p95_ms, tone: 1 }, { name: "p99", values: traffic.p99_ms, tone: 2 }]);
  charts.errors.update(traffic.starts, [{ name: say("refused"), values: traffic.refused, tone: 6 }, { name: say("failed"), values: traffic.failed, tone: 5 }]);
}

function routes(traffic) {
  const rows = Object.entries(traffic.groups).map(([name, each]) => ({ name, ...each })).sort((a, b) => b.requests - a.requests);
  const ms = (key) => ({ head: key, right: true, cell: (row) => figure(row[`${key}_ms`], row[`${key}_ms`] < 10 ? 2 : 0) });
  return table(say("routes"), [
    { head: say("route"), cell: (row) => row.name },
    { head: say("count"), right: true, cell: (row) => number(row.requests) },
    ms("p50"), ms("p95"), ms("p99"),
    { head: say("refused"), right: true, cell: (row) => number(row.refused) },
    { head: say("failed"), right: true, cell: (row) => number(row.failed) },
  ], rows, { none: say("no-traffic") });
}

function serving(state) {
  const rows = table(say("serving"), [
    { head: say("scenario"), cell: (row) => link(sceneName(row.scenario), "scenarios", row.scenario) },
    { head: say("age"), cell: (row) => moment(row.created) },
    { head: say("since-fit"), right: true, cell: (row) => figure(row.behind) },
    { head: "ndcg@10", right: true, cell: (row) => figure(row.metrics["ndcg@10"], 4) },
  ], state.in_service, { none: say("no-bundles") });
  const missing = state.untrained;
  return [rows, missing.length > 0 && el("p", { class: "hint" }, say("untrained", { names: missing.join(", ") }), " ", el("code", {}, "polyscene train"))];
}

function machine({ version, uptime_s, memory, queues, state }) {
  const words = { readers: say("readers"), writers: say("writers") };
  return queues.length ? lines([
    ...queues.map(({ name, inside, limit }) => [words[name] ?? name, [gauge(inside / limit), say("of", { n: number(inside), all: number(limit) })]]),
    [say("disk"), [gauge(1 - state.disk_free / state.disk_total), say("free", { size: bytes(state.disk_free) })]],
    [say("log-size"), bytes(state.log_bytes)],
    [say("memory"), bytes(memory)],
    [say("uptime"), lasting(uptime_s)],
    [say("version"), version],
  ]) : empty(say("nothing"));
}
