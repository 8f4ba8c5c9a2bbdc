// The console: one page for each address, the menu, who is signed in, and what keeps a page fresh.

import * as api from "../page/api.js";
import { byId, el, fill, tell } from "../page/dom.js";
import { dress } from "../page/look.js";
import { say, teach } from "../page/say.js";
import { Search } from "../page/search.js";
import { WORDS as SHARED } from "../page/words.js";
import * as bundles from "./bundles.js";
import { clock } from "./format.js";
import * as items from "./items.js";
import * as jobs from "./jobs.js";
import * as overview from "./overview.js";
import * as quality from "./quality.js";
import * as requests from "./requests.js";
import * as scenarios from "./scenarios.js";
import { meet, who } from "./state.js";
import { empty, head, href, link, trouble, waiting } from "./ui.js";
import * as users from "./users.js";
import { EN } from "./words_en.js";
import { ZH } from "./words_zh.js";

const PAGES = { "": overview, scenarios, users, items, requests, quality, bundles, jobs };
const SLOW_MS = 200;

let leaving = new AbortController();

/** The page of the present address; `moved` when the reader came from another one. */
async function show(moved) {
  leaving.abort();
  const { signal } = (leaving = new AbortController());
  const [section = "", ...rest] = location.pathname.split("/").slice(2);
  const main = byId("main");
  const slow = setTimeout(() => fill(main, waiting()), moved ? SLOW_MS : 0);
  tell(byId("stale"), "");
  mark(section);
  let found;
  try {
    const id = rest.length ? decodeURIComponent(rest.join("/")) : undefined;
    found = PAGES[section]
      ? await PAGES[section].page({ id, signal, every: every(signal), go })
      : { title: say("no-page"), content: [head(say("no-page")), empty(say("no-page-hint"), link(say("overview")))] };
  } catch (error) {
    if (error.name === "AbortError" || signal.aborted) return;
    if (error.status === 401) return signIn();
    const title = say(error.status === 404 ? "not-found" : "went-wrong");
    found = { title, content: [head(title), trouble(error, () => show())] };
  } finally {
    clearTimeout(slow);
  }
  if (signal.aborted) return;
  place(found, moved);
}

function place({ title, content }, moved) {
  document.title = `${title} · Polyscene`;
  fill(byId("main"), content);
  if (!moved) return;
  scrollTo(0, 0);
  byId("main").querySelector("h1")?.focus();
}

/** Goes to an address of the console without loading it anew. */
function go(path) {
  history.pushState(null, "", path);
  show(true);
}

function mark(section) {
  const here = section ? href(section) : "/console";
  for (const node of byId("nav").querySelectorAll("a")) {
    if (node.getAttribute("href") === here) node.setAttribute("aria-current", "page");
    else node.removeAttribute("aria-current");
  }
  menu(false);
}

/** Runs `work` again and again while its page is open and seen; says when it no longer gets through. */
const every = (signal) => (ms, work) => {
  let last = Date.now();
  const turn = async () => {
    if (signal.aborted) return;
    if (document.visibilityState === "visible") {
      try {
        await work();
        last = Date.now();
        if (!signal.aborted) tell(byId("stale"), "");
      } catch (error) {
        if (signal.aborted) return;
        if (error.status === 401) return signIn();
        tell(byId("stale"), say("stale", { time: clock(last), why: error.message || say("no-connection") }));
      }
    }
    setTimeout(turn, ms);
  };
  setTimeout(turn, ms);
};

function signIn() {
  leaving.abort();
  const key = el("input", { type: "password", autocomplete: "current-password", required: true, maxlength: "200", spellcheck: "false" });
  const said = el("p", { class: "error", role: "alert", hidden: true });
  const form = el("form", { class: "login",
    onsubmit: async (event) => {
      event.preventDefault();
      tell(said, "");
      try {
        await meet(api.signIn(key.value.trim()));
        greet();
        show(true);
      } catch (error) {
        tell(said, error.message || say("no-connection"));
        key.select();
      }
    } },
  el("label", { class: "field" }, el("span", {}, say("key")), key), said,
  el("button", { type: "submit", class: "strong" }, say("sign-in")),
  el("p", { class: "hint" }, say("key-hint"), " ", el("code", {}, "polyscene keys add NAME --role read")));
  place({ title: say("sign-in"), content: [head(say("sign-in"), say("sign-in-lead")), form] }, false);
  key.focus();
}

function greet() {
  const { keys, role, name } = who();
  byId("who").textContent = !keys ? "" : role ? [name, say(`role:${role}`)].filter(Boolean).join(" · ") : "";
  byId("leave").hidden = !keys || !role;
}

function menu(open) {
  byId("menu").setAttribute("aria-expanded", String(open));
  byId("nav").classList.toggle("open", open);
}

function hints() {
  for (const node of document.querySelectorAll("[data-hint]")) node.placeholder = say(node.dataset.hint);
}

/** A plain click on one of the console's own links changes the page in place. */
function follow(event) {
  const node = event.target.closest?.("a");
  if (!node || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (node.origin !== location.origin || !/^\/console(\/|$)/.test(node.pathname) || node.hash) return;
  event.preventDefault();
  if (node.href === location.href) show(true);
  else go(node.href);
}

function listen() {
  document.addEventListener("click", follow);
  addEventListener("popstate", () => show(true));
  byId("menu").addEventListener("click", () => menu(byId("menu").getAttribute("aria-expanded") !== "true"));
  byId("leave").addEventListener("click", async () => {
    await meet(api.signOut());
    greet();
    signIn();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") menu(false);
    if (event.key !== "/" || event.target.closest("input, textarea, select")) return;
    event.preventDefault();
    byId("words").focus();
  });
  new Search(
    (found) => go(href(found.user ? "users" : "items", found.id)),
    (words) => [{ id: words, user: true, title: say("open-user", { user: words }) }],
  );
}

async function start() {
  teach(SHARED);
  teach({ en: EN, zh: ZH });
  dress(() => {
    hints();
    greet();
    show();
  });
  hints();
  listen();
  try {
    await meet();
    greet();
    if (who().keys && !who().role) return signIn();
  } catch (error) {
    return place({ title: say("went-wrong"), content: [head(say("went-wrong")), trouble(error, () => location.reload())] });
  }
  return show();
}

start();
