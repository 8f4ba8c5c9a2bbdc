// One shelf: the slate of one scenario, redrawn in place so that titles can be seen to move.

import { el, fill, glide, tell } from "./dom.js";
import { facts, sceneName } from "./facts.js";
import { percent, say } from "./say.js";

/** The same hue for the same first tag, so that kinds of titles can be told apart at a glance. */
function hue(text) {
  let sum = 7;
  for (const letter of text) sum = (sum * 31 + letter.codePointAt(0)) % 65521;
  return (sum % 24) * 15;
}

export class Shelf {
  /** `pick(item, place, shelf)` is called for a click, `trace(shelf)` for the trace button. */
  constructor(scenario, { pick, trace, retry }) {
    this.scenario = scenario;
    this.pick = pick;
    this.answer = null;
    this.cards = new Map();
    this.title = el("h2", { id: `scene-${scenario.name}` });
    this.note = el("p", { class: "note" });
    this.flag = el("span", { class: "flag", hidden: true });
    this.how = el("button", { type: "button", class: "quiet how", onclick: () => trace(this) });
    this.left = el("button", { type: "button", class: "quiet step", onclick: () => this.scroll(-1) }, "‹");
    this.right = el("button", { type: "button", class: "quiet step", onclick: () => this.scroll(1) }, "›");
    this.list = el("ol", { class: "slate", "aria-labelledby": this.title.id });
    this.empty = el("p", { class: "empty", hidden: true });
    this.retry = el("button", { type: "button", hidden: true, onclick: retry });
    this.node = el("section", { class: "shelf", "data-scenario": scenario.name, "aria-busy": "true" },
      el("div", { class: "head" }, this.title, this.note, this.flag,
        el("div", { class: "tools" }, this.how, this.left, this.right)),
      this.list, this.empty, this.retry);
    this.list.append(...Array.from({ length: 8 }, () => el("li", { class: "card ghost", "aria-hidden": "true" })));
    this.rename();
  }

  /** Puts the words of the present language on the shelf. */
  rename() {
    const scene = sceneName(this.scenario.name);
    this.title.textContent = scene;
    this.how.textContent = say("trace");
    this.how.setAttribute("aria-label", say("trace-label", { scene }));
    this.left.setAttribute("aria-label", say("left"));
    this.right.setAttribute("aria-label", say("right"));
    this.retry.textContent = say("again");
    this.flag.textContent = say("degraded");
    if (!this.answer) this.note.textContent = say("loading");
  }

  scroll(direction) {
    this.list.scrollBy({ left: direction * this.list.clientWidth * 0.8, behavior: "smooth" });
  }

  wait() {
    this.node.setAttribute("aria-busy", "true");
  }

  /** Asks for a first title: there is nothing yet that this shelf could stand beside. */
  ask() {
    this.clear();
    tell(this.empty, say("anchor-first"));
  }

  /** Leaves the last answer standing. */
  rest() {
    this.node.removeAttribute("aria-busy");
  }

  /** Another user comes: what they get is not a change of what was here. */
  forget() {
    this.answer = null;
  }

  /** Shows an answer; gives the number of titles that were not there before. */
  show(answer, items, { filtered, anchor }) {
    const before = this.answer?.items.map((each) => each.id);
    const held = this.held();
    this.answer = answer;
    const ids = answer.items.map((each) => each.id);
    const fresh = before ? ids.filter((id) => !before.includes(id)) : [];
    const moved = before ? ids.filter((id, place) => before.includes(id) && before.indexOf(id) !== place) : [];
    const cards = answer.items.map((shown) => this.card(shown, items, fresh.length < ids.length && fresh.includes(shown.id)));
    glide(this.list, () => this.list.replaceChildren(...cards));
    this.cards = new Map(ids.map((id, place) => [id, cards[place]]));
    if (held >= 0) cards[Math.min(held, cards.length - 1)]?.querySelector("button").focus({ preventScroll: true });
    this.settle(answer, before, fresh.length, moved.length, anchor);
    tell(this.empty, ids.length ? "" : say(filtered ? "empty-filter" : "empty"));
    return fresh.length;
  }

  settle(answer, before, fresh, moved, anchor) {
    this.rest();
    this.node.classList.remove("bad");
    this.retry.hidden = true;
    this.how.hidden = false;
    this.flag.hidden = !answer.degraded;
    this.flag.title = answer.notes.join("\n");
    const near = this.scenario.anchored && anchor && say("anchor", { title: facts(anchor).title });
    const change = before && (fresh || moved ? say("change", { fresh, moved }) : say("same"));
    this.note.textContent = [near, change].filter(Boolean).join(" · ");
  }

  /** Shows that there is no answer, and why. */
  fail(reason) {
    this.clear();
    this.node.classList.add("bad");
    tell(this.empty, [say("failed"), reason].filter(Boolean).join(" "));
    this.retry.hidden = false;
  }

  clear() {
    this.rest();
    this.node.classList.remove("bad");
    this.answer = null;
    this.list.replaceChildren();
    this.cards.clear();
    this.note.textContent = "";
    this.flag.hidden = this.how.hidden = this.retry.hidden = true;
  }

  /** The place that holds the keyboard focus; -1 when it is elsewhere. */
  held() {
    return [...this.list.children].findIndex((card) => card.contains(document.activeElement));
  }

  card(shown, items, fresh) {
    const known = facts(items.get(shown.id));
    const why = shown.because != null && items.get(shown.because);
    const card = this.cards.get(shown.id) ?? el("li", { class: "card" });
    card.dataset.item = shown.id;
    card.classList.toggle("fresh", fresh);
    card.style.setProperty("--hue", hue(known.tags[0] ?? known.title));
    return fill(card,
      el("button", { type: "button", class: "poster", onclick: () => this.pick(shown, this),
        "aria-label": say("pick", { title: known.title }) },
        el("span", { class: "place" }, String(shown.position + 1)),
        fresh && el("span", { class: "dot" }, say("fresh_mark")),
        el("span", { class: "name" }, known.title),
        el("span", { class: "year" }, String(known.year))),
      el("p", { class: "tags" }, known.tags.slice(0, 3).join(" · ")),
      why && el("p", { class: "because" }, say("because", { title: facts(why).title })),
      el("p", { class: "chips" },
        explored(shown) && el("span", { class: "chip explored",
          title: say("explored-hint", { chance: percent(shown.propensity) }) },
          say("explored", { chance: percent(shown.propensity) })),
        shown.sources.filter((source) => source !== "explore").map((source) => el("span", { class: "chip" }, source))));
  }
}

/** Whether chance had a hand in this place. */
export const explored = (shown) => shown.sources.includes("explore") || shown.propensity < 0.5;
