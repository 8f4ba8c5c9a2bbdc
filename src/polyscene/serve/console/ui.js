// The few things every page is made of: panels that load by themselves, tables, facts, questions.

import { byId, el, fill } from "../page/dom.js";
import { facts } from "../page/facts.js";
import { has, number, say } from "../page/say.js";
import { scroller } from "../page/trace.js";
import { ago, when } from "./format.js";
import { may } from "./state.js";

let names = 0;

export const href = (...parts) => ["/console", ...parts.map(encodeURIComponent)].join("/");
export const link = (text, ...parts) => el("a", { href: href(...parts) }, text);
export const itemLink = (item) => link(facts(item).title, "items", item.id);

/** The head of a page: what it is, one line about it, what can be done here. */
export const head = (title, lead, ...actions) =>
  el("header", { class: "head" },
    el("div", {}, el("h1", { tabindex: "-1" }, title), lead && el("p", { class: "lead" }, lead)),
    actions.length > 0 && el("div", { class: "actions" }, actions));

/** A titled part of a page that fills itself with what `load` gives, and says what went wrong if it can't. */
export function panel(title, load, { hint, tools, plain } = {}) {
  const id = `panel-${(names += 1)}`;
  const body = el("div", { class: "body" }, waiting());
  const node = el("section", { class: plain ? "panel plain" : "panel", "aria-labelledby": id },
    el("header", {}, el("div", {}, el("h2", { id }, title), hint && el("p", { class: "hint" }, hint)), tools), body);
  node.reload = async () => {
    node.setAttribute("aria-busy", "true");
    try {
      fill(body, await load());
    } catch (error) {
      if (error.name !== "AbortError") fill(body, trouble(error, node.reload));
    }
    node.removeAttribute("aria-busy");
  };
  node.reload();
  return node;
}

export const waiting = () => el("p", { class: "waiting" }, el("span", { class: "unseen" }, say("loading")));
export const empty = (text, ...more) => el("div", { class: "nothing" }, el("p", {}, text), more);

/** What went wrong and what to do; `retry` is offered where it may help. */
export function trouble(error, retry) {
  if (error.missing) return empty(say("not-offered"));
  if (!("status" in error)) throw error;
  const key = error.status === 0 ? "no-connection" : `status:${error.status}`;
  return el("div", { class: "nothing bad", role: "alert" },
    el("p", {}, has(key) ? say(key) : say("went-wrong")),
    error.message && el("p", { class: "error" }, error.message),
    retry && ![403, 404].includes(error.status) && el("button", { type: "button", onclick: retry }, say("again")));
}

/** A table of `rows`; a column is {head, cell(row), right, wide}. */
export function table(label, columns, rows, { none = say("nothing") } = {}) {
  if (!rows.length) return empty(none);
  const name = (column) => [column.right && "figure", column.wide && "wide"].filter(Boolean).join(" ") || null;
  return scroller(label, el("table", {},
    el("caption", { class: "unseen" }, label),
    el("thead", {}, el("tr", {}, columns.map((column) =>
      column.head ? el("th", { scope: "col", class: name(column) }, column.head) : el("td", {})))),
    el("tbody", {}, rows.map((row) => el("tr", { class: row.tone }, columns.map((column) => el("td", { class: name(column) }, column.cell(row))))))));
}

/** Names with their values; pairs without a value are left out. */
export const lines = (pairs) =>
  el("dl", { class: "lines" }, pairs.filter((pair) => pair && pair[1] != null && pair[1] !== "")
    .map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));

/** The same, side by side. */
export const lineup = (pairs) => {
  const node = lines(pairs);
  node.classList.add("across");
  return node;
};

/** How long ago, with the time itself for who points at it. */
export const moment = (time) => (time == null ? "–" : el("time", { datetime: new Date(time).toISOString(), title: when(time) }, ago(time)));

/** How full something is. */
export function gauge(share) {
  const node = el("span", { class: share > 0.85 ? "gauge high" : "gauge", "aria-hidden": "true" });
  node.style.setProperty("--share", Math.max(0, Math.min(1, share)));
  return node;
}

export const chip = (text, tone) => el("span", { class: tone ? `chip ${tone}` : "chip" }, text);
export const code = (text) => el("code", {}, text);
export const more = (left, draw) =>
  el("button", { type: "button", class: "more", onclick: draw }, left == null ? say("show-more") : say("more-of", { n: number(left) }));

/** A button for those whose role allows it; others see it greyed, with the reason beside it. */
export function deed(text, role, work, tone) {
  const node = el("button", { type: "button", class: tone, disabled: !may(role) }, text);
  node.addEventListener("click", async () => {
    node.disabled = true;
    await work().finally(() => (node.disabled = false));
  });
  if (may(role)) return node;
  const id = `why-${(names += 1)}`;
  node.setAttribute("aria-describedby", id);
  return el("span", { class: "barred" }, node, el("small", { id }, say("needs-role", { role: say(`role:${role}`) })));
}

/** Says something that happened, to eyes and screen readers. */
export function tellAll(text) {
  const news = byId("news");
  news.classList.remove("unseen");
  news.classList.add("toast");
  news.textContent = text;
  clearTimeout(tellAll.timer);
  tellAll.timer = setTimeout(() => {
    news.className = "unseen";
    news.textContent = "";
  }, 6000);
}

/** Asks before `work` is done; with `word` the answer has to be typed. Stays open while it fails. */
export function ask({ title, text, yes, word, work }) {
  const dialog = byId("question");
  const said = el("div", { "aria-live": "assertive" });
  const input = word != null && el("input", { autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
  const go = el("button", { type: "submit", class: "danger", disabled: word != null }, yes);
  if (input) input.addEventListener("input", () => (go.disabled = input.value !== word));
  const form = el("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      go.disabled = true;
      try {
        await work();
        dialog.close();
      } catch (error) {
        fill(said, trouble(error));
        go.disabled = false;
      }
    },
  },
  el("h2", { id: "question-title" }, title), el("p", {}, text),
  input && el("label", { class: "field" }, el("span", {}, say("type-to-confirm", { word })), input), said,
  el("div", { class: "actions" }, el("button", { type: "button", onclick: () => dialog.close() }, say("cancel")), go));
  fill(dialog, form);
  dialog.showModal();
}
