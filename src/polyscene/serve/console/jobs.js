// Jobs: long work in the background, how far it is, what came of it, and the start of a new fit.

import * as api from "../page/api.js";
import { el, fill } from "../page/dom.js";
import { sceneName } from "../page/facts.js";
import { has, percent, say } from "../page/say.js";
import { figure, lasting } from "./format.js";
import { chip, code, deed, empty, head, moment, panel, table, tellAll } from "./ui.js";

const REFRESH_MS = 2000;
const OPEN = ["queued", "running"];
const TONES = { done: "good", failed: "bad", running: "live" };

export async function page({ signal, every }) {
  const list = el("div", {});
  const draw = async () => fill(list, shown(await api.jobs(signal), draw));
  return { title: say("jobs"), content: [
    head(say("jobs"), say("jobs-lead")),
    panel(say("new-fit"), () => start(draw), { hint: say("new-fit-hint") }),
    panel(say("lately"), async () => {
      await draw();
      every(REFRESH_MS, draw);
      return list;
    }),
  ] };
}

const shown = (jobs, again) => table(say("jobs"), [
  { head: say("job"), cell: (row) => [el("strong", {}, has(`job:${row.kind}`) ? say(`job:${row.kind}`) : row.kind),
    el("p", { class: "soft" }, subject(row))] },
  { head: say("state"), wide: true, cell: (row) => [chip(say(`state:${row.state}`), TONES[row.state]), progress(row), outcome(row)] },
  { head: say("started"), cell: (row) => moment(row.started ?? row.created) },
  { head: say("took"), right: true, cell: (row) => lasting(row.started && ((row.finished ?? Date.now()) - row.started) / 1000) },
  { cell: (row) => OPEN.includes(row.state) && deed(say("stop"), "admin", async () => {
    await api.cancelJob(row.id);
    await again();
  }) },
], jobs, { none: say("no-jobs") });

function subject({ kind, arguments: { scenarios = [], scenario } }) {
  if (kind === "train" && !scenarios.length) return say("all-scenarios");
  return [...scenarios, scenario].filter(Boolean).map(sceneName).join(", ");
}

function progress({ state, progress: share, text }) {
  if (state !== "running") return null;
  const bar = el("progress", { max: 1, value: share, "aria-label": say("working") });
  return el("div", { class: "progress" }, bar, el("small", { class: "soft" }, [text, percent(Math.round(share * 100) / 100)].filter(Boolean).join(" · ")));
}

/** What a job that has ended left: fits with their figure, a file, or why it failed. */
function outcome({ id, result, output, error }) {
  const fits = result?.scenarios ?? [];
  return [
    error && el("p", { class: "error" }, error),
    fits.map((fit) => el("p", {}, sceneName(fit.scenario), " ", code(fit.bundle), fit.metrics?.["ndcg@10"] != null && ` ndcg@10 ${figure(fit.metrics["ndcg@10"], 4)}`,
      fit.refused && el("span", { class: "error" }, ` ${say("not-promoted")} ${fit.refused}`))),
    output && el("p", {}, el("a", { href: `/v1/jobs/${encodeURIComponent(id)}/output`, download: "" }, say("download"))),
  ];
}

/** The form that starts a fit of one scenario or of all. */
async function start(again) {
  const names = (await api.scenarios()).map((each) => each.name);
  if (!names.length) return empty(say("no-scenarios"));
  const choice = el("select", {}, el("option", { value: "" }, say("all-scenarios")), names.map((name) => el("option", { value: name }, sceneName(name))));
  const said = el("div", { "aria-live": "polite" });
  const go = deed(say("train"), "admin", async () => {
    fill(said);
    try {
      await api.startJob("train", { scenarios: choice.value ? [choice.value] : [] });
      tellAll(say("job-started"));
      await again();
    } catch (error) {
      fill(said, el("p", { class: "error" }, error.missing ? say("not-offered") : error.message || say("no-connection")));
    }
  }, "strong");
  return [el("div", { class: "form line" }, el("label", { class: "field" }, el("span", {}, say("scenario")), choice), go), said];
}
