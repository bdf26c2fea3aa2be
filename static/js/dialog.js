// Asks before anything is done, and says what came of it.
import { h } from "./dom.js";

/** Ask; answers true, the text that was typed, or null when it was cancelled. field: { label, value } or none. */
export function confirm({ title, text, action, field = null }) {
  const input = field && h("input", { type: "text", name: "text", value: field.value ?? "", maxlength: "200", autocomplete: "off" });
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id: "dialog-title" }, title),
    h("p", {}, text),
    input && h("p", {}, h("label", {}, `${field.label} `, input)),
    h("div", { class: "buttons" }, h("button", { value: "no", type: "submit" }, "Cancel"), h("button", { class: "primary", value: "yes", type: "submit" }, action)),
  );
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);
  document.body.append(dialog);
  const asker = document.activeElement;
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => {
      answer(dialog.returnValue === "yes" ? (input?.value ?? true) : null);
      dialog.remove();
      asker?.focus?.();
    });
  });
}

/** A place for the outcome of what was done beside it; read aloud politely. */
export function outcome() {
  const node = h("p", { class: "said", role: "status" });
  node.say = (text, isBad = false) => {
    node.toggleAttribute("data-bad", isBad);
    node.textContent = text;
  };
  return node;
}

export async function carryOut(question, place, work) {
  const answer = await confirm(question);
  if (answer === null) return false;
  try {
    place.say("…");
    place.say(await work(answer));
    return true;
  } catch (error) {
    place.say(`Not done: ${error.message}`, true);
    return false;
  }
}
