// Language and theme: chosen with two buttons, kept in the browser.

import { byId } from "./dom.js";
import { speak, spoken } from "./say.js";

function language(code) {
  speak(code);
  byId("language").textContent = code === "zh" ? "English" : "中文";
  byId("language").lang = code === "zh" ? "en" : "zh";
}

function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
}

function otherTheme() {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  localStorage.setItem("theme", dark ? "light" : "dark");
  theme(localStorage.getItem("theme"));
}

/** Takes up what was chosen before, and calls `renamed` after each change of language. */
export function dress(renamed) {
  theme(localStorage.getItem("theme"));
  language(localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en"));
  byId("theme").addEventListener("click", otherTheme);
  byId("language").addEventListener("click", () => {
    localStorage.setItem("language", spoken() === "zh" ? "en" : "zh");
    language(localStorage.getItem("language"));
    renamed();
  });
}
