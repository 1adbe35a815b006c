// Keys to actions: what is held together chooses the action. Used where a game on the screen is played.
import { el } from "./dom.js";

const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "Space", Enter: "Enter", ".": "." };

export class Keys {
  // box takes the focus; keys is {action: [key, ...]}; act is called with an action as often as one is meant.
  constructor(box, keys, act) {
    this.entries = Object.entries(keys);
    this.known = new Set(this.entries.flatMap(([, held]) => held));
    this.idle = "noop" in keys ? "noop" : null;
    this.held = new Set();
    this.act = act;
    this.timed = false;
    box.addEventListener("keydown", (event) => this.down(event));
    box.addEventListener("keyup", (event) => this.held.delete(nameOf(event)));
    box.addEventListener("blur", () => this.held.clear());
  }

  down(event) {
    const key = nameOf(event);
    if (event.altKey || event.ctrlKey || event.metaKey || !this.known.has(key)) return;
    event.preventDefault();
    this.held.add(key);
    if (!this.timed) {
      const action = this.chosen(key);
      if (action !== null) this.act(action);
    }
  }

  // The action with most keys held; with a key that was just pressed, one of those that need it.
  chosen(pressed = null) {
    let best = null, most = 0;
    for (const [action, keys] of this.entries) {
      if (keys.length > most && keys.every((k) => this.held.has(k)) && (pressed === null || keys.includes(pressed))) [best, most] = [action, keys.length];
    }
    return best;
  }

  // What is meant at a tick of the clock: what is held, or nothing at all where the game knows that.
  ticked() { return this.chosen() ?? this.idle; }
}

function nameOf(event) { return event.key.length === 1 ? event.key.toLowerCase() : event.key; }

// A button for each action, with its keys.
export function actionButtons(actions, keys, act) {
  return actions.map((action) => el("button", { type: "button", onclick: () => act(action) }, action,
    keys[action] ? [" ", el("kbd", {}, keys[action].map((k) => NAMES[k] ?? k.toUpperCase()).join(" + "))] : null));
}
