// Requests: the newest that were answered; of one, what was shown and how it came about.

import * as api from "../page/api.js";
import { el } from "../page/dom.js";
import { sceneName } from "../page/facts.js";
import { number, say } from "../page/say.js";
import { replayer } from "../page/trace.js";
import { when } from "./format.js";
import { cameAbout, naming, slate } from "./slate.js";
import { code, head, lines, link, panel } from "./ui.js";
import { requestTable } from "./users.js";

const ROWS = 50;

export const page = ({ id, signal }) => (id === undefined ? list(signal) : one(id, signal));

async function list(signal) {
  return { title: say("requests"), content: [
    head(say("requests"), say("requests-lead")),
    panel(say("newest"), () => requestTable({ n: ROWS }, signal)),
  ] };
}

async function one(id, signal) {
  const found = await api.trace(id, signal);
  return { title: `${say("request")} ${id}`, content: [
    head(say("request-of", { scene: sceneName(found.scenario) }), when(found.time)),
    el("div", { class: "pair" },
      panel(say("about-request"), () => [
        lines([
          [say("user"), found.user == null ? say("visitor") : link(found.user, "users", found.user)],
          [say("scenario"), link(sceneName(found.scenario), "scenarios", found.scenario)],
          [say("request"), code(found.request_id)],
          [say("bundle"), code(found.bundle)],
          [say("position"), number(found.log_position)],
          ...found.notes.map((note) => [say("note"), note]),
        ]),
        replayer(found)]),
      panel(say("slate"), async () => slate(found.items.map((each) => ({ ...each, sources: sources(found, each.id) })), await naming(found.items)))),
    panel(say("how-it-came"), () => cameAbout(found.chain), { hint: say("how-hint") }),
  ] };
}

/** Who brought an item, from the trace. */
function sources(found, id) {
  const row = found.chain.flatMap((each) => each.candidates).find((each) => each.item === id && each.place != null);
  return Object.keys(row ?? {}).filter((key) => key.startsWith("rank:")).map((key) => key.slice(5));
}
