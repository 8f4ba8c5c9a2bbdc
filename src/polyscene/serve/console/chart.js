// Charts as SVG: lines, stacked areas or stacked bars, with the numbers as a table behind them.

import { el, fill, svg } from "../page/dom.js";
import { say } from "../page/say.js";
import { scroller } from "../page/trace.js";

const EDGE = { top: 8, right: 10, bottom: 24 };
const LETTER = 7;
const FEW = 32;

/** Round numbers from `low` to `high`, about `count` of them. */
function ticks(low, high, count) {
  const raw = (high - low || 1) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= raw * 0.999);
  const first = Math.floor(low / step), last = Math.ceil(high / step);
  return Array.from({ length: Math.max(last - first, 1) + 1 }, (_, at) => Number(((first + at) * step).toPrecision(12)));
}

export class Chart {
  /**
   * `shape`: "line", "area" (stacked) or "bars" (stacked). `x` and `y` write a place and a value.
   * `zero` false lets the scale begin above 0; `newest` false: the last place is not the present one.
   */
  constructor({ label, x, y, shape = "line", height = 190, zero = true, newest = true }) {
    Object.assign(this, { label, x, y, shape, height, zero, newest });
    this.data = { x: [], series: [] };
    this.at = null;
    this.drawing = svg("svg", { role: "img", height });
    this.plot = el("div", { class: "plot" }, this.drawing);
    this.legend = el("ul", { class: "legend", "aria-hidden": "true" });
    this.numbers = el("details", { class: "numbers" }, el("summary", {}, say("as-table")));
    this.node = el("figure", { class: "chart" }, el("figcaption", {}, el("span", { class: "name" }, label), this.legend), this.plot, this.numbers);
    this.numbers.addEventListener("toggle", () => this.list());
    this.plot.addEventListener("pointermove", (event) => this.point(event));
    this.plot.addEventListener("pointerleave", () => this.point(null));
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  /** Shows other data: places on the x axis, and series {name, values, tone} with null where nothing is known. */
  update(x, series) {
    this.data = { x, series: series.map((each, at) => ({ tone: at + 1, ...each })) };
    this.draw();
    if (this.numbers.open) this.list();
    return this;
  }

  point(event) {
    const { x } = this.data;
    if (!event || !x.length) this.at = null;
    else {
      const share = (event.offsetX - this.left) / (this.plot.clientWidth - this.left - EDGE.right);
      const place = this.shape === "bars" ? Math.floor(share * x.length) : Math.round(share * (x.length - 1));
      this.at = Math.max(0, Math.min(x.length - 1, place));
    }
    this.draw();
  }

  /** Where the series lie on top of each other: per series the lower and upper ends. */
  stacked() {
    const base = this.data.x.map(() => 0);
    return this.data.series.map(({ values }) => values.map((value, at) => [base[at], (base[at] += value ?? 0)]));
  }

  draw() {
    const width = this.plot.clientWidth;
    if (!width) return;
    const { x, series } = this.data;
    const ends = this.shape === "line" ? series.map(({ values }) => values.map((value) => [value, value])) : this.stacked();
    const all = ends.flat(2).filter((value) => value != null);
    const low = this.zero ? 0 : Math.min(...all), high = Math.max(...all, this.zero ? 0 : -Infinity);
    const slack = high > low ? 0 : Math.abs(high) / 10 || 1;
    const marks = all.length ? ticks(this.zero ? low : low - slack, high + slack, 3) : [0, 1];
    this.left = Math.max(...marks.map((mark) => this.y(mark).length)) * LETTER + 12;
    const [first, last] = [marks[0], marks.at(-1)];
    const down = (value) => EDGE.top + (1 - (value - first) / (last - first)) * (this.height - EDGE.top - EDGE.bottom);
    const room = width - this.left - EDGE.right;
    const slot = room / Math.max(x.length, 1);
    const across = this.shape === "bars" ? (at) => this.left + (at + 0.5) * slot
      : (at) => this.left + (x.length > 1 ? (at / (x.length - 1)) * room : room / 2);
    this.drawing.setAttribute("width", width);
    this.drawing.setAttribute("aria-label", this.summary());
    fill(this.drawing,
      marks.map((mark) => [
        svg("line", { class: "grid", x1: this.left, x2: width - EDGE.right, y1: down(mark), y2: down(mark) }),
        svg("text", { class: "y", x: this.left - 8, y: down(mark) + 4 }, this.y(mark))]),
      this.places(across, width),
      this.at != null && svg("line", { class: "cross", x1: across(this.at), x2: across(this.at), y1: EDGE.top, y2: this.height - EDGE.bottom }),
      series.map((each, at) => this.shapes(each, ends[at], across, down, slot)));
    this.label_();
  }

  /** Names of places on the x axis: each once, from the newest back, as many as have room. */
  places(across, width) {
    const texts = this.data.x.map((each) => this.x(each));
    const found = [];
    let free = width;
    for (let at = texts.length - 1; at >= 0; at -= 1) {
      if (texts[at] === texts[at - 1]) continue;
      const size = texts[at].length * LETTER;
      const right = Math.min(across(at) + size / 2, width - 2);
      if (right > free || right - size < 0) continue;
      free = right - size - 18;
      found.push(svg("text", { class: "x", x: right, y: this.height - 6 }, texts[at]));
    }
    return found;
  }

  shapes({ tone }, ends, across, down, slot) {
    const name = `tone-${tone}`;
    if (this.shape === "bars") {
      return ends.map(([low, high], at) => high > low && svg("rect", { class: `fill ${name}`, x: across(at) - slot * 0.38,
        width: Math.max(slot * 0.76, 1), y: down(high), height: Math.max(down(low) - down(high), 1) }));
    }
    const point = (at, end) => `${across(at).toFixed(1)} ${down(ends[at][end]).toFixed(1)}`;
    if (this.shape === "area") {
      if (!ends.length) return [];
      const up = ends.map((_, at) => point(at, 1)), back = ends.map((_, at) => point(at, 0)).reverse();
      return [svg("path", { class: `fill ${name}`, d: `M${up.join("L")}L${back.join("L")}Z` })];
    }
    const path = ends.map(([value], at) => (value == null ? "" : `${at && ends[at - 1][0] != null ? "L" : "M"}${point(at, 0)}`)).join("");
    const alone = ([value], at) => value != null && (ends.length <= FEW || at === this.at
      || (ends[at - 1]?.[0] == null && ends[at + 1]?.[0] == null));
    return [svg("path", { class: `stroke ${name}`, d: path }),
      ends.map((each, at) => alone(each, at) && svg("circle", { class: `fill ${name}`, cx: across(at), cy: down(each[0]), r: at === this.at ? 4.5 : 3 }))];
  }

  /** The names of the series with their values: those pointed at, else the newest. */
  label_() {
    const { x, series } = this.data;
    if (!this.newest && this.at == null) return fill(this.legend);
    const at = this.at ?? x.length - 1;
    return fill(this.legend,
      this.at != null && el("li", { class: "soft" }, this.x(x[at])),
      series.map(({ name, values, tone }) => el("li", {}, el("span", { class: `swatch tone-${tone}` }), name, " ",
        el("b", {}, values[at] == null ? "–" : this.y(values[at])))));
  }

  summary() {
    const { x, series } = this.data;
    if (!x.length) return `${this.label}: ${say("nothing")}`;
    const facts = series.map(({ name, values }) => {
      const there = values.filter((value) => value != null);
      return there.length ? say("chart-series", { name, last: this.y(there.at(-1)), low: this.y(Math.min(...there)), high: this.y(Math.max(...there)) })
        : `${name}: –`;
    });
    return `${this.label}, ${this.x(x[0])} – ${this.x(x.at(-1))}. ${facts.join("; ")}`;
  }

  list() {
    const old = this.numbers.querySelector(".scroll");
    if (!this.numbers.open) return old?.remove();
    const { x, series } = this.data;
    const made = scroller(this.label, el("table", {},
      el("thead", {}, el("tr", {}, el("td", {}), series.map(({ name }) => el("th", { scope: "col", class: "figure" }, name)))),
      el("tbody", {}, [...x.keys()].reverse().map((at) => el("tr", {}, el("th", { scope: "row" }, this.x(x[at])),
        series.map(({ values }) => el("td", { class: "figure" }, values[at] == null ? "–" : this.y(values[at]))))))));
    made.classList.add("tall");
    if (old) old.replaceWith(made);
    else this.numbers.append(made);
  }
}
