// Light and dark: as the system says, unless the reader chose.
import { computed, effect, signal } from "@preact/signals";
import { kept } from "../words/kept";

export type Theme = "system" | "light" | "dark";

export const theme = kept<Theme>("theme", ["system", "light", "dark"]);

const preference = window.matchMedia("(prefers-color-scheme: dark)");
const systemDark = signal(preference.matches);
preference.addEventListener("change", () => {
  systemDark.value = preference.matches;
});

export const dark = computed(
  () => theme.value === "dark" || (theme.value === "system" && systemDark.value),
);

export function startTheme(): void {
  effect(() => {
    document.documentElement.dataset["theme"] = dark.value ? "dark" : "light";
  });
}

export const nextTheme = (): void => {
  theme.value = theme.value === "system" ? "light" : theme.value === "light" ? "dark" : "system";
};

/** A colour of the present theme, for what is drawn on a canvas. */
export const colour = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
