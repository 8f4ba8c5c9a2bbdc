// The page: who is watching, their history, and one shelf per scenario that answers after each click.

import * as api from "./api.js";
import { byId, el, glide, later, tell } from "./dom.js";
import { facts } from "./facts.js";
import { dress } from "./look.js";
import { say, teach } from "./say.js";
import { Search } from "./search.js";
import { Shelf } from "./shelf.js";
import { openTrace } from "./trace.js";
import { WORDS } from "./words.js";

const HISTORY = 30;
const RETRY_MS = 3000;

const page = { user: "", known: true, history: [], shelves: [], asked: null };

const newcomer = () => `guest-${crypto.randomUUID().slice(0, 8)}`;

async function become(user) {
  page.user = user;
  page.shelves.forEach((shelf) => shelf.forget());
  history.replaceState(null, "", `#user=${encodeURIComponent(user)}`);
  byId("user").value = user.startsWith("guest-") ? "" : user;
  await guarded(async () => {
    page.history = await api.history(user, HISTORY);
    drawPerson(await api.details(page.history.map((event) => event.item)));
    await ask();
  });
}

function drawPerson(items) {
  const guest = page.user.startsWith("guest-");
  byId("who").textContent = guest ? say("newcomer") : say("someone", { user: page.user });
  byId("who-hint").textContent = say(page.history.length ? "hint-some" : guest ? "hint-empty" : "hint-unknown");
  const list = byId("history");
  const old = new Map([...list.children].map((chip) => [chip.dataset.event, chip]));
  const chips = page.history.map((event) => {
    const key = event.id ?? `${event.item} ${event.time}`;
    const known = facts(items.get(event.item));
    return old.get(key) ?? el("li", { class: "watched", "data-event": key },
      el("span", { class: "name" }, known.title), known.year && el("span", { class: "year" }, String(known.year)));
  });
  glide(list, () => list.replaceChildren(...chips));
  list.scrollTo({ left: 0, behavior: "smooth" });
}

/** Asks every scenario again; a later ask overtakes this one. */
async function ask() {
  page.asked?.abort();
  const asked = (page.asked = new AbortController());
  const filter = byId("filter").value.trim();
  const anchor = page.history[0]?.item;
  page.shelves.forEach((shelf) => shelf.wait());
  const done = await Promise.allSettled(page.shelves.map((shelf) => one(shelf, { filter, anchor }, asked.signal)));
  if (asked.signal.aborted) return;
  const refusal = done.find((each) => each.reason?.status === 422 && filter)?.reason;
  tell(byId("filter-error"), refusal?.message);
  byId("filter").setAttribute("aria-invalid", refusal ? "true" : "false");
  const gone = done.find((each) => each.reason?.status === 0)?.reason;
  if (gone) throw gone;
  byId("news").textContent = done
    .map((each, place) => each.value && `${page.shelves[place].title.textContent}: ${page.shelves[place].note.textContent}`)
    .filter(Boolean)
    .join(". ");
}

async function one(shelf, { filter, anchor }, signal) {
  if (shelf.scenario.anchored && !anchor) return shelf.ask();
  const wish = { scenario: shelf.scenario.name, user: page.user };
  if (filter) wish.filter = filter;
  if (anchor) wish.context = { anchors: [anchor] };
  try {
    const answer = await api.recommend(wish, signal);
    const items = await api.details(answer.items.flatMap((each) => [each.id, each.because]).filter((id) => id != null));
    if (signal.aborted) return null;
    shelf.show(answer, items, { filtered: Boolean(filter), anchor: items.get(anchor) });
    if (answer.items.length) suggest(items.get(answer.items[0].id));
    return answer;
  } catch (error) {
    if (signal.aborted || error.name === "AbortError") return null;
    if (error.status === 422 && filter) shelf.rest();
    else shelf.fail(error.message);
    throw error;
  }
}

/** Shows in the empty filter box how a rule over this item's attributes would read. */
function suggest(item) {
  const known = Object.entries(item.attributes ?? {});
  const tags = known.find(([, value]) => Array.isArray(value));
  const figure = known.find(([, value]) => typeof value === "number");
  byId("filter").placeholder = [
    tags && `${tags[0]} has any ["${tags[1][0]}"]`,
    figure && `${figure[0]} >= ${figure[1]}`,
  ].filter(Boolean).join(" and ");
}

/** A click on a title: one event, and everything answers again. */
async function pick(item, shelf) {
  const event = { id: crypto.randomUUID(), user: page.user, item: item.id };
  if (shelf) Object.assign(event, { scenario: shelf.scenario.name, request_id: shelf.answer.request_id, position: item.position });
  await guarded(async () => {
    await api.post(event);
    if (!page.history.includes(event)) page.history = [event, ...page.history].slice(0, HISTORY);
    drawPerson(await api.details([item.id]));
    await ask();
  });
}

/** Runs `work`; when the service is gone, says so and tries again until it is back. */
async function guarded(work) {
  try {
    await work();
    tell(byId("trouble"), "");
  } catch (error) {
    if (!("status" in error)) throw error;
    tell(byId("trouble"), error.status ? error.message : say("gone"));
    if (!error.status) setTimeout(() => guarded(work), RETRY_MS);
  }
}

/** Arrow keys walk the titles: left and right within a shelf, up and down between shelves. */
function walk(event) {
  const typing = event.target.closest("input");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    byId("words").focus();
  }
  const card = event.target.closest(".card");
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!card || !step) return;
  const lists = [...document.querySelectorAll(".slate")].filter((list) => list.querySelector(".poster"));
  const row = lists.indexOf(card.parentElement) + step[0];
  const place = [...card.parentElement.children].indexOf(card) + step[1];
  const next = lists[row]?.children[Math.min(place, lists[row].children.length - 1)];
  if (!next) return;
  event.preventDefault();
  next.querySelector(".poster").focus();
}

function listen() {
  byId("fresh").addEventListener("click", () => become(newcomer()));
  byId("person").addEventListener("submit", (event) => {
    event.preventDefault();
    const user = byId("user").value.trim();
    if (user) become(user);
  });
  byId("rule").addEventListener("submit", (event) => event.preventDefault());
  byId("filter").addEventListener("input", later(() => guarded(ask), 250));
  document.addEventListener("keydown", walk);
  new Search(pick);
}

async function start() {
  teach(WORDS);
  dress(() => {
    page.shelves.forEach((shelf) => shelf.rename());
    become(page.user);
  });
  listen();
  await guarded(async () => {
    if (!(await api.session()).role) throw new api.Problem(401, say("sign-in"));
    const scenarios = (await api.scenarios()).filter((scenario) => scenario.bundle);
    scenarios.sort((a, b) => b.stages.length - a.stages.length);
    page.shelves = scenarios.map((scenario) => new Shelf(scenario, { pick, trace: openTrace, retry: () => guarded(ask) }));
    byId("shelves").replaceChildren(...page.shelves.map((shelf) => shelf.node));
    if (!page.shelves.length) throw new api.Problem(503, say("no-scenes"));
    const users = await api.users(50);
    byId("users").replaceChildren(...users.map((user) => el("option", { value: user })));
    byId("user").placeholder = users.slice(0, 2).join(", ");
    const wanted = new URLSearchParams(location.hash.slice(1)).get("user");
    await become(wanted || newcomer());
  });
}

start();
