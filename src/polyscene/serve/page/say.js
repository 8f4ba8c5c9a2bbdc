// Two languages. `say(key, values)` fills {holes}; a missing key shows itself.

const WORDS = { en: {}, zh: {} };
let language = "en";

/** Adds a table of words; a key that is there gets the later text. */
export function teach(words) {
  for (const code in words) Object.assign(WORDS[code], words[code]);
}

/** Chooses a language and puts its words on everything marked with `data-word` or `data-label`. */
export function speak(code) {
  language = code in WORDS ? code : "en";
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll("[data-word]")) node.textContent = say(node.dataset.word);
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", say(node.dataset.label));
}

export const spoken = () => language;

export function say(key, values = {}) {
  const text = WORDS[language][key] ?? WORDS.en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (hole, name) => values[name] ?? hole);
}

export const has = (key) => key in WORDS.en;
export const percent = (share) => new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 2 }).format(share);
export const number = (value, digits = 3) => new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);
