// A slate as a list, and how it came about: the picture of the stages and every candidate.

import * as api from "../page/api.js";
import { el } from "../page/dom.js";
import { facts, sceneName } from "../page/facts.js";
import { percent, say } from "../page/say.js";
import { candidates, named, seenBy } from "../page/trace.js";
import { figure } from "./format.js";
import { traceFlow } from "./flow.js";
import { chip, empty, itemLink } from "./ui.js";

/** The items of an answer, first place first; `items` are their details by id. */
export function slate(shown, items) {
  if (!shown.length) return empty(say("empty-slate"));
  const several = new Set(shown.flatMap((each) => each.sources ?? [])).size > 1;
  return el("ol", { class: "slate" }, shown.map((each) => {
    const why = each.because != null && items.get(each.because);
    return el("li", {},
      el("div", {}, itemLink(items.get(each.id) ?? each),
        why && el("p", { class: "soft" }, say("because-of", { title: facts(why).title })),
        el("p", { class: "chips" }, several && each.sources.map((name) => chip(name, name === "explore" && "explored")),
          each.propensity < 1 && chip(say("chance", { chance: percent(each.propensity) })))),
      el("span", { class: "figure soft", title: say("score") }, figure(each.score, 3)));
  }));
}

/** The details of everything an answer names. */
export const naming = (shown) => api.details(shown.flatMap((each) => [each.id, each.because]).filter((id) => id != null));

/** Scenario by scenario of a trace: what it saw, the picture, the candidates. */
export async function cameAbout(chain) {
  const items = await named(chain);
  return chain.map((one) => el("section", { class: "came" },
    chain.length > 1 && el("h3", {}, sceneName(one.scenario)),
    el("p", { class: "hint" }, `${say("seen-by")}: ${seenBy(one)}`),
    traceFlow(one),
    el("details", {}, el("summary", {}, say("every-candidate")), candidates(one, items, itemLink))));
}

/** What a scenario would show now, with how it comes about behind a fold. */
export async function rehearsed(name, ask, signal, open = false) {
  const { answer, chain } = await api.rehearse(name, ask, signal);
  const items = await naming(answer.items);
  const made = el("div", {});
  const how = el("details", { class: "how", open }, el("summary", {}, say("how-it-came")), made);
  const fill = async () => made.childElementCount || made.append(...(await cameAbout(chain)));
  if (open) await fill();
  how.addEventListener("toggle", fill);
  return [
    answer.degraded && el("p", { class: "flag" }, say("degraded")),
    answer.notes.map((note) => el("p", { class: "hint" }, note)),
    slate(answer.items, items), how,
  ];
}
