// Scenarios: each as a picture of its stages, its file, and a rehearsal on anybody.

import * as api from "../page/api.js";
import { el, fill } from "../page/dom.js";
import { sceneName } from "../page/facts.js";
import { number, say } from "../page/say.js";
import { figure } from "./format.js";
import { recipeFlow } from "./flow.js";
import { rehearsed } from "./slate.js";
import { chip, code, empty, head, lines, link, panel, trouble, waiting } from "./ui.js";

export const page = ({ id, signal }) => (id === undefined ? list() : one(id, signal));

async function list() {
  const found = await api.scenarios();
  return { title: say("scenarios"), content: [
    head(say("scenarios"), say("scenarios-lead")),
    found.length ? el("ul", { class: "cards" }, found.map(card)) : empty(say("no-scenarios")),
  ] };
}

const card = (each) => el("li", { class: "panel" },
  el("h2", {}, link(sceneName(each.name), "scenarios", each.name)),
  el("p", { class: "soft" }, each.stages.length ? each.stages.join(" → ") : say("not-trained")),
  lines([
    [say("name"), code(each.name)],
    [say("slate"), each.slate && number(each.slate)],
    ["ndcg@10", each.metrics["ndcg@10"] != null && figure(each.metrics["ndcg@10"], 4)],
    [say("fallback"), each.fallback],
  ]),
  each.anchored && chip(say("anchored")));

async function one(name, signal) {
  const recipe = await api.scenario(name, signal);
  return { title: sceneName(name), content: [
    head(sceneName(name), say("scenario-lead", { name })),
    !recipe.bundle && el("p", { class: "trouble" }, say("not-trained"), " ", code(`polyscene train ${name}`)),
    recipe.changed && recipe.bundle && el("p", { class: "trouble mild" }, say("file-changed")),
    recipe.file_problem && el("p", { class: "trouble" }, recipe.file_problem),
    panel(say("stages"), () => recipeFlow(recipe), { hint: say("stages-hint") }),
    recipe.bundle && rehearsal(recipe, signal),
    el("div", { class: "pair" },
      panel(say("settings"), () => settings(recipe)),
      panel(say("file"), () => (recipe.text ? el("pre", { tabindex: "0", "aria-label": recipe.file }, recipe.text) : empty(say("no-file"))),
        { hint: recipe.file && say("file-hint", { file: recipe.file }) })),
  ] };
}

const weights = (table) => Object.entries(table).map(([name, weight]) => `${name} ${figure(weight)}`).join(", ");

const settings = (recipe) => lines([
  [say("bundle"), recipe.bundle && code(recipe.bundle)],
  [say("slate"), number(recipe.slate)],
  [say("budget"), recipe.budget_ms && `${number(recipe.budget_ms)} ms`],
  [say("kind"), recipe.kind ?? say("every-kind")],
  [say("rule"), recipe.where && code(recipe.where)],
  [say("seen-items"), say(recipe.seen === "drop" ? "seen-drop" : "seen-keep")],
  [say("history-length"), number(recipe.history)],
  [say("counts-for"), Object.keys(recipe.positive).length ? weights(recipe.positive) : say("every-action")],
  [say("counts-against"), weights(recipe.negative)],
  [say("fallback"), recipe.fallback && link(sceneName(recipe.fallback), "scenarios", recipe.fallback)],
]);

const idsOf = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

/** The form that asks without being logged. */
function rehearsal(recipe, signal) {
  const anchored = recipe.anchors === "context";
  const field = (key, node, hint) => {
    node.id = `try-${key}`;
    if (hint) node.setAttribute("aria-describedby", `${node.id}-hint`);
    return el("div", { class: "field" }, el("label", { for: node.id }, say(key)), node, hint && el("small", { id: `${node.id}-hint` }, say(hint)));
  };
  const input = (attributes = {}) => el("input", { autocomplete: "off", spellcheck: "false", autocapitalize: "off", ...attributes });
  const user = input({ maxlength: "512" }), filter = input({ maxlength: "2000", class: "code" });
  const past = el("textarea", { rows: "3", spellcheck: "false" }), anchors = el("textarea", { rows: "3", spellcheck: "false" });
  const places = input({ type: "number", min: "1", max: "200", placeholder: recipe.slate });
  const result = el("div", { class: "result", "aria-live": "polite" });
  const run = async () => {
    const ask = {};
    if (user.value.trim()) ask.user = user.value.trim();
    if (idsOf(past.value).length) ask.history = idsOf(past.value).map((item) => ({ item }));
    if (idsOf(anchors.value).length) ask.context = { anchors: idsOf(anchors.value) };
    if (filter.value.trim()) ask.filter = filter.value.trim();
    if (places.value) ask.k = Number(places.value);
    fill(result, waiting());
    try {
      fill(result, await rehearsed(recipe.name, ask, signal, true));
    } catch (error) {
      if (error.name !== "AbortError") fill(result, trouble(error));
    }
  };
  const form = el("form", { class: "form", onsubmit: (event) => (event.preventDefault(), run()) },
    field("user", user, "user-hint"), field("k", places),
    anchored ? field("anchors", anchors, "ids-hint") : field("or-history", past, "history-hint"),
    field("filter", filter),
    el("button", { type: "submit", class: "strong" }, say("rehearse")));
  return panel(say("rehearsal"), () => [form, result], { hint: say("rehearsal-hint") });
}
