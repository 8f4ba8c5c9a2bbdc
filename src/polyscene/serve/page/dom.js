// Elements from plain data. Text from the service only ever becomes a text node, never markup.

/** An element with attributes, listeners (`onclick`) and children; null and false children are left out. */
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  return fill(node, children);
}

/** Puts `children` in place of what a node holds; null and false children are left out. */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return node;
}

export const byId = (id) => document.getElementById(id);

/** Shows or hides a message. */
export function tell(node, text) {
  node.textContent = text || "";
  node.hidden = !text;
}

/** `call` after `ms` without another call. */
export function later(call, ms) {
  let timer;
  return (...all) => {
    clearTimeout(timer);
    timer = setTimeout(call, ms, ...all);
  };
}

const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Lets the children of `list` glide from where they were before `change` to where they are after. */
export function glide(list, change) {
  const before = new Map([...list.children].map((child) => [child, child.getBoundingClientRect()]));
  change();
  if (calm.matches) return;
  for (const child of list.children) {
    const old = before.get(child);
    if (!old) {
      child.animate([{ opacity: 0, transform: "translateY(0.5rem)" }, { opacity: 1, transform: "none" }],
        { duration: 320, easing: "ease-out" });
      continue;
    }
    const now = child.getBoundingClientRect();
    const [x, y] = [old.left - now.left, old.top - now.top];
    if (x || y) child.animate([{ transform: `translate(${x}px, ${y}px)` }, { transform: "none" }],
      { duration: 380, easing: "cubic-bezier(.2, .8, .2, 1)" });
  }
}

/** An element of a drawing; attributes and children as in `el`. */
export function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) if (value != null && value !== false) node.setAttribute(key, value);
  return fill(node, children);
}
