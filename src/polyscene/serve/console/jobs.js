// Jobs: long work in the background, how far it is, and the start of a new fit.

import * as api from "../page/api.js";
import { el, fill } from "../page/dom.js";
import { sceneName } from "../page/facts.js";
import { percent, say } from "../page/say.js";
import { ago, lasting, when } from "./format.js";
import { chip, code, deed, head, panel, table, tellAll } from "./ui.js";

const REFRESH_MS = 2000;
const TONES = { done: "good", failed: "bad", running: "live", queued: "", cancelled: "" };

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

function shown(jobs, again) {
  return table(say("jobs"), [
    { head: say("job"), cell: (row) => [el("strong", {}, kind(row)), " ", code(row.id)] },
    { head: say("state"), wide: true, cell: (row) => [chip(say(`state:${row.state}`), TONES[row.state]), progress(row), row.error && el("p", { class: "error" }, row.error)] },
    { head: say("started"), cell: (row) => el("time", { title: when(row.started ?? row.created) }, ago(row.started ?? row.created)) },
    { head: say("took"), right: true, cell: (row) => lasting(row.started && ((row.ended ?? Date.now()) - row.started) / 1000) },
    { cell: (row) => ["running", "queued"].includes(row.state) && deed(say("stop"), "admin", async () => {
      await api.cancelJob(row.id);
      await again();
    }) },
  ], jobs, { none: say("no-jobs") });
}

const kind = (row) => say(`job:${row.kind}`);

function progress(row) {
  if (row.state !== "running") return null;
  const share = row.total ? row.done / row.total : null;
  return el("div", { class: "progress" },
    el("progress", share == null ? { "aria-label": say("working") } : { max: 1, value: share, "aria-label": say("working") }),
    el("small", { class: "soft" }, [row.label, share != null && percent(Math.round(share * 100) / 100)].filter(Boolean).join(" · ")));
}

/** The form that starts a fit of one scenario or of all. */
async function start(again) {
  const names = (await api.scenarios()).map((each) => each.name);
  const choice = el("select", {}, el("option", { value: "" }, say("all-scenarios")), names.map((name) => el("option", { value: name }, sceneName(name))));
  const said = el("div", { "aria-live": "polite" });
  const go = deed(say("train"), "admin", async () => {
    try {
      await api.startJob({ kind: "train", scenarios: choice.value ? [choice.value] : [] });
      tellAll(say("job-started"));
      await again();
    } catch (error) {
      fill(said, el("p", { class: "error" }, error.message || say("no-connection")));
    }
  }, "strong");
  return [el("div", { class: "form line" }, el("label", { class: "field" }, el("span", {}, say("scenario")), choice), go), said];
}
