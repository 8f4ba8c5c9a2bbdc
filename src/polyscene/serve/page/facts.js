// What an item and a scenario are called, whatever their data set calls its columns.

import { has, say } from "./say.js";

/** What a page shows of an item. */
export function facts(item) {
  const known = { ...item, ...item.attributes };
  const lists = Object.values(known).filter(Array.isArray);
  return {
    title: String(known.title ?? known.name ?? item.id),
    year: known.year ?? known.release_year ?? "",
    tags: (lists[0] ?? []).map(String),
  };
}

/** The scenario's name as people say it. */
export const sceneName = (name) =>
  has(`scene:${name}`) ? say(`scene:${name}`) : name.replace(/[_-]+/g, " ").replace(/^./, (first) => first.toUpperCase());
