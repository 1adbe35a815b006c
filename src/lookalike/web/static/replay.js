// The replay: one place on the time axis, and everything that led to the step there.
// Where the events come from (the server, or a page written to a file) is the source's business.
import { el, svg, worth, signed, ready } from "./dom.js";

const PAGE = 40;
const KEPT_PAGES = 60;

export class Replay {
  constructor(root, source) {
    this.root = root;
    this.source = source;
    this.place = 0;
    this.total = source.total;
    this.pages = new Map();
    this.timer = null;
    this.asked = 0;
    this.at = Object.fromEntries([...root.querySelectorAll("[data-at]")].map((e) => [e.dataset.at, e]));
    this.scrub = root.querySelector(".scrub");
    this.status = root.querySelector(".place");
    this.plot = root.querySelector(".axis-plot");
    this.buttons = Object.fromEntries([...root.querySelectorAll("[data-do]")].map((e) => [e.dataset.do, e]));
    this.listen();
  }

  async start() {
    this.measure(this.total);
    this.drawOutline(await this.source.outline().catch(() => ({ marks: {}, curve: [] })));
    if (!(await this.followLink())) await this.show(Math.min(1, this.total - 1));
    if (!this.source.ended) setInterval(() => this.grow(), 2000);
  }

  listen() {
    const b = this.buttons;
    const on = (button, what) => button && button.addEventListener("click", what);
    on(b.first, () => this.go(0));
    on(b.back, () => this.go(this.place - 1));
    on(b.next, () => this.go(this.place + 1));
    on(b.last, () => this.go(this.total - 1));
    on(b.play, () => (this.timer ? this.stop() : this.play()));
    on(b.dissent, () => this.nextMark("dissent"));
    on(b.divergence, () => this.toDivergence());
    this.scrub.addEventListener("input", () => { this.stop(); this.show(Number(this.scrub.value)); });
    window.addEventListener("hashchange", () => this.followLink());
    document.addEventListener("keydown", (event) => this.key(event));
    ready(this.root);
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const inside = event.target;
    if (inside.matches("input:not(.scrub), select, textarea, video") || inside.closest(".scroll")) return;
    const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };
    if (event.key in moves) this.go(this.place + moves[event.key]);
    else if (event.key === "Home") this.go(0);
    else if (event.key === "End") this.go(this.total - 1);
    else if (event.key === " " && !inside.matches("button, a")) this.timer ? this.stop() : this.play();
    else return;
    event.preventDefault();
  }

  go(place) {
    this.stop();
    return this.show(place);
  }

  play() {
    this.buttons.play.textContent = "Pause";
    const pace = () => Number(this.buttons.speed?.value ?? 900);
    const tick = async () => {
      await this.show(this.place + 1);
      if (this.place >= this.total - 1) this.stop();
      else if (this.timer) this.timer = setTimeout(tick, pace());
    };
    this.timer = setTimeout(tick, 50);
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = null;
    this.buttons.play.textContent = "Play";
  }

  measure(total) {
    this.total = total;
    this.scrub.max = Math.max(0, total - 1);
  }

  async grow() {
    const page = Math.floor((this.total - 1) / PAGE);
    const found = await this.source.page(page * PAGE).catch(() => null);
    if (!found || found.total === this.total) return;
    const followed = this.place >= this.total - 1;
    this.pages.delete(page);
    this.measure(found.total);
    this.source.ended = found.ended;
    this.drawOutline(await this.source.outline());
    if (followed) this.show(this.total - 1);
  }

  async item(place) {
    const page = Math.floor(place / PAGE);
    if (!this.pages.has(page)) {
      this.pages.set(page, this.source.page(page * PAGE).then((found) => found.items));
      if (this.pages.size > KEPT_PAGES) this.pages.delete(this.pages.keys().next().value);
    }
    let items = await this.pages.get(page);
    let wanted = items.find((item) => item.place === place);
    if (!wanted) wanted = (await this.source.page(place)).items[0]; // a page of very large events ends early
    return wanted;
  }

  async show(place) {
    if (this.total < 1) { this.status.textContent = "Nothing has happened yet."; return; }
    place = Math.max(0, Math.min(place, this.total - 1));
    const asked = ++this.asked;
    this.place = place;
    this.scrub.value = place;
    let item;
    try { item = await this.item(place); } catch (error) {
      this.status.textContent = `This step cannot be read: ${error.message}`;
      this.pages.clear();
      return;
    }
    if (asked !== this.asked || !item) return; // somebody has moved on meanwhile
    this.draw(item);
    for (const near of [place + PAGE, place - PAGE]) { // the pages on both sides are there before they are needed
      if (near >= 0 && near < this.total) this.item(near).catch(() => {});
    }
  }

  draw(item) {
    this.root.querySelector(".step").hidden = false;
    const words = { start: "Start", end: "End", incident: "Incident" }[item.kind];
    const where = item.kind === "step" ? `Step ${item.step}${item.world ? `, world of ${item.world}` : ""}` : words;
    this.status.textContent = `${where} (place ${item.place + 1} of ${this.total})`;
    this.scrub.setAttribute("aria-valuetext", where);
    this.drawNow(item.place);
    const link = item.kind === "step" ? `#step=${item.step}${item.world ? `&world=${encodeURIComponent(item.world)}` : ""}` : `#place=${item.place}`;
    this.buttons.link?.setAttribute("href", link);
    if (this.root.dataset.links !== "no") history.replaceState(null, "", link);
    this.root.dataset.shown = item.place;
    const draw = { step: () => this.drawStep(item), start: () => this.drawStart(item), end: () => this.drawEnd(item) }[item.kind];
    for (const box of Object.values(this.at)) box.replaceChildren();
    (draw ?? (() => this.drawIncident(item)))();
  }

  drawStart(item) {
    this.fill("observation", this.observation(item.observation, item.frame));
    this.fill("decision", `The game begins, under seed ${item.seed}.`);
  }

  drawEnd(item) {
    const score = item.score === null ? "" : `, ${item.score} points`;
    this.fill("decision", el(`span.badge.${item.success ? "good" : "bad"}`, {}, item.success ? "goal reached" : "goal not reached"),
      ` after ${item.steps} steps${score}${item.terminated ? "; the game ended" : ""}.`);
    if (item.agreement !== null) {
      const right = item.correct_dissents === null ? "" : `, ${item.correct_dissents} of them right`;
      this.fill("votes", `Mean agreement ${Math.round(item.agreement * 100)}%; ${item.dissents} steps with dissent${right}.`);
    }
  }

  drawIncident(item) {
    this.fill("decision", el("span.badge.bad", {}, item.what), " ", item.detail);
  }

  drawStep(item) {
    this.fill("observation", this.observation(item.observation, item.frame));
    this.fill("decision", item.decision ?? "Nothing executable was proposed.",
      item.tie_break ? el("small.muted", {}, ` tie broken by ${item.tie_break}`) : null,
      item.goal_reached ? el("span.badge.good", {}, "goal reached") : null,
      item.terminated ? el("span.badge", {}, "the game ended") : null,
      item.truncated ? el("span.badge", {}, "step limit") : null);
    this.fill("next", this.observation(item.next_observation, item.next_frame));
    this.fill("proposals", item.proposals.map((p) => this.proposal(p)));
    this.drawVotes(item);
    this.drawReward(item);
    this.drawMemories(item);
    const parts = [`${item.calls} model calls`, `${item.tokens} tokens`];
    if (item.seconds !== null) parts.push(`${item.seconds.toFixed(2)} s`);
    this.fill("cost", parts.join(", "));
  }

  fill(name, ...children) {
    this.at[name].append(...children.flat().filter((c) => c !== null && c !== undefined));
  }

  observation(text, frame) {
    const found = [];
    if (frame) {
      const picture = el("img", { src: this.source.frame(frame), alt: "What was seen: a picture", width: 512 });
      picture.addEventListener("error", () => picture.replaceWith(el("p.bad-ink", {}, "The picture's file is missing or damaged.")));
      found.push(picture);
    }
    if (text !== null && text !== undefined) found.push(text);
    return found.length ? found : [el("span.muted", {}, "nothing")];
  }

  proposal(p) {
    const probability = p.probability === null ? "" : `p = ${p.probability.toFixed(2)}`;
    const box = el(`div.proposal${p.decided ? ".decided" : ""}`, {},
      el("span.role", {}, p.role),
      el("span.action", {}, p.action ?? "no action", p.decided ? [" ", el("span.badge.good", {}, "decided")] : null, p.dissents ? [" ", el("span.badge", {}, "dissent")] : null),
      el("span", {}, probability ? el("small.muted", {}, `${probability}  `) : null, p.verdict ? worth(p.verdict.value) : null));
    if (p.rationale) box.append(el("span.more", {}, p.rationale));
    if (p.reply) box.append(el("span.more", {}, `Reply: ${p.reply}`));
    if (p.verdict && p.verdict.components.length) {
      box.append(el("span.more", {}, p.verdict.components.map(([name, share]) => `${name} ${signed(share)}`).join(", ")));
    }
    return box;
  }

  drawVotes(item) {
    const whole = item.votes.reduce((sum, [, weight]) => sum + Math.abs(weight), 0);
    if (!whole) { this.fill("votes", el("p.muted", {}, "Nobody voted.")); return; }
    const bars = el("div.bars");
    for (const [action, weight] of [...item.votes].sort((a, b) => b[1] - a[1])) {
      const label = `${weight} of ${whole} for ${action}`;
      bars.append(el("span.name", {}, action), el("progress", { max: whole, value: Math.abs(weight), "aria-label": label }), el("span", {}, String(weight)));
    }
    this.fill("votes", bars, el("p.muted.small", {}, `Rule: ${item.by}`));
  }

  drawReward(item) {
    const v = item.verdict;
    if (!v) { this.fill("reward", el("p.muted", {}, "No verdict was given on this step.")); }
    else {
      this.fill("reward", el("p", {}, worth(v.value), v.feedback ? ` ${v.feedback}` : ""));
      const list = el("ul");
      for (const [name, share] of v.components) list.append(el("li", {}, name, " ", worth(share)));
      if (v.components.length) this.fill("reward", list);
    }
    const score = item.score === null ? "" : ` The game's score is ${item.score}.`;
    if (item.env_reward || score) this.fill("reward", el("p.muted", {}, `The game's own reward: ${item.env_reward}.${score}`));
  }

  drawMemories(item) {
    if (!item.recollections.length) { this.fill("memories", el("p.muted", {}, "None was shown.")); return; }
    const list = el("ul.memories");
    const from = { member: "the swarm's own play", recording: "a recording", expert: "the expert" };
    for (const memory of item.recollections) {
      const fits = memory.score === 1 ? "the same state" : `fits ${(memory.score * 100).toFixed(0)}%`;
      list.append(el("li", {}, el("span.badge", {}, from[memory.source] ?? memory.source), ` ${memory.provenance}, ${fits} `,
        memory.step === null ? null : el("button", { type: "button", onclick: () => this.toStep(memory.step, item.world) }, `to step ${memory.step}`)));
    }
    this.fill("memories", list);
  }

  drawOutline(outline) {
    this.outline = outline;
    const plot = this.plot;
    const x = (place) => (this.total > 1 ? (place / (this.total - 1)) * 1000 : 0);
    plot.replaceChildren();
    const values = outline.curve.map(([, sum]) => sum);
    const high = Math.max(0.1, ...values), low = Math.min(0, ...values);
    const y = (value) => 44 - ((value - low) / (high - low)) * 40;
    plot.append(svg("line", { class: "zero", x1: 0, x2: 1000, y1: y(0), y2: y(0) }));
    if (values.length > 1) plot.append(svg("polyline", { class: "curve", points: outline.curve.map(([p, sum]) => `${x(p).toFixed(1)},${y(sum).toFixed(1)}`).join(" ") }));
    const wide = Math.max(1.5, Math.min(6, 700 / this.total));
    for (const [kind, places] of Object.entries(outline.marks)) {
      const row = { milestone: 48, dissent: 53, setback: 48, incident: 53 }[kind];
      for (const place of places) plot.append(svg("rect", { class: `mark-${kind}`, x: x(place) - wide / 2, y: row, width: wide, height: 5 }));
    }
    this.now = svg("line", { class: "now", x1: 0, x2: 0, y1: 0, y2: 60 });
    plot.append(this.now);
    this.drawNow(this.place);
    if (this.buttons.dissent) this.buttons.dissent.disabled = !outline.marks.dissent?.length;
  }

  drawNow(place) {
    const x = this.total > 1 ? (place / (this.total - 1)) * 1000 : 0;
    this.now?.setAttribute("x1", x);
    this.now?.setAttribute("x2", x);
  }

  nextMark(kind) {
    const places = this.outline?.marks[kind] ?? [];
    if (places.length) this.go(places.find((p) => p > this.place) ?? places[0]);
  }

  async toDivergence() {
    const found = await this.source.divergence();
    if (found.place === null) this.status.textContent = found.why;
    else { await this.go(found.place); if (found.why) this.status.textContent += `. ${found.why}`; }
  }

  async toStep(step, world) {
    const place = await this.source.placeOf(step, world);
    if (place === null) { this.status.textContent = `Step ${step} is not in this episode.`; return false; }
    await this.go(place);
    return true;
  }

  async followLink() {
    const link = new URLSearchParams(location.hash.slice(1));
    if (/^\d{1,9}$/.test(link.get("step") ?? "")) return this.toStep(Number(link.get("step")), link.get("world"));
    if (/^\d{1,9}$/.test(link.get("place") ?? "")) { await this.go(Number(link.get("place"))); return true; }
    return false;
  }
}
