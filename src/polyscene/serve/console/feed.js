// Events as they come in, newest first; of everybody, of one user or on one item.

import * as api from "../page/api.js";
import { el, fill } from "../page/dom.js";
import { say } from "../page/say.js";
import { figure } from "./format.js";
import { itemLink, link, moment, more, panel, table } from "./ui.js";

const ROWS = 20;
const REFRESH_MS = 5000;

/** A panel of events; with `every` it follows the log as long as nobody leafs back. */
export function feed({ title, hint, user, item, signal, every }) {
  const list = el("div", {});
  let shown = [], following = true;
  const older = more(null, async () => {
    following = false;
    shown = [...shown, ...(await ask(shown.at(-1)?.cursor))];
    draw();
  });
  const ask = (cursor) => page({ user, item, n: ROWS, cursor }, signal);
  const draw = async () => {
    const items = await api.details(shown.map((each) => each.item));
    older.hidden = !shown.at(-1)?.cursor;
    fill(list, table(title, [
      { head: say("time"), cell: (row) => moment(row.time) },
      !user && { head: say("user"), cell: (row) => link(row.user, "users", row.user) },
      { head: say("action"), cell: (row) => row.action },
      !item && { head: say("item"), wide: true, cell: (row) => itemLink(items.get(row.item)) },
      { head: say("value"), right: true, cell: (row) => figure(row.value) },
      { head: say("scenario"), cell: (row) => (row.request_id ? link(row.scenario || say("request"), "requests", row.request_id) : row.scenario ?? "") },
    ].filter(Boolean), shown, { none: say("no-events") }));
  };
  const node = panel(title, async () => {
    shown = await ask();
    await draw();
    every?.(REFRESH_MS, async () => {
      if (!following) return;
      shown = await ask();
      await draw();
    });
    return [list, older];
  }, { hint });
  return node;
}

/** One page of events; the last one carries the cursor of the next page. */
async function page(params, signal) {
  const found = await api.eventsFrom(params, signal);
  const events = found.events.map((each) => ({ ...each }));
  if (events.length) events.at(-1).cursor = found.cursor;
  return events;
}
