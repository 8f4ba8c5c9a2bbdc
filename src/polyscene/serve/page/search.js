// The title search: a combobox whose list comes from the service.

import * as api from "./api.js";
import { byId, el, later } from "./dom.js";
import { facts } from "./facts.js";
import { say } from "./say.js";

const SHOWN = 8;

export class Search {
  /** `pick` is called with the item chosen; `before(words)` gives entries that stand above the items. */
  constructor(pick, before = () => []) {
    this.pick = pick;
    this.before = before;
    this.input = byId("words");
    this.list = byId("found");
    this.active = -1;
    this.asked = null;
    this.input.addEventListener("input", later(() => this.look(), 150));
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("blur", () => setTimeout(() => this.close(), 150));
    byId("find").addEventListener("submit", (event) => event.preventDefault());
  }

  async look() {
    const query = this.input.value.trim();
    this.asked?.abort();
    if (!query) return this.close();
    const asked = (this.asked = new AbortController());
    try {
      this.show([...this.before(query), ...(await api.search(query, SHOWN, asked.signal))]);
    } catch (error) {
      if (error.name !== "AbortError") this.note(error.message || say("gone"));
    }
  }

  show(items) {
    this.items = items;
    if (!items.length) return this.note(say("none-found"));
    this.list.replaceChildren(...items.map((item, place) => {
      const known = facts(item);
      return el("li", { role: "option", id: `found-${place}`, "aria-selected": "false",
        onmousedown: (event) => event.preventDefault(), onclick: () => this.choose(place) },
        el("span", { class: "name" }, known.title), " ", el("span", { class: "year" }, String(known.year)));
    }));
    this.open();
    this.point(0);
  }

  note(text) {
    this.items = [];
    this.list.replaceChildren(el("li", { class: "empty", role: "option", "aria-disabled": "true" }, text));
    this.open();
  }

  key(event) {
    if (event.key === "Escape") this.close();
    if (this.list.hidden || !this.items?.length) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      this.point((this.active + step + this.items.length) % this.items.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.choose(this.active);
    }
  }

  point(place) {
    this.active = place;
    [...this.list.children].forEach((each, at) => each.setAttribute("aria-selected", String(at === place)));
    this.input.setAttribute("aria-activedescendant", `found-${place}`);
  }

  choose(place) {
    const item = this.items[place];
    this.input.value = "";
    this.close();
    this.pick(item);
  }

  open() {
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
  }

  close() {
    this.asked?.abort();
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }
}
