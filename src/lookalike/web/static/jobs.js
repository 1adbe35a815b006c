// Waits for work that goes on at the server, and says how far it is.
import { ask, el } from "./dom.js";

export async function follow(job, place, { go = false } = {}) {
  let stop, words;
  while (job.state === "running") {
    const far = job.fraction === null ? null : el("progress", { max: 1, value: job.fraction, "aria-label": job.title });
    const { key } = job;
    stop ??= el("button", { type: "button", onclick: () => { stop.disabled = true; ask(`/api/jobs/${key}/stop`, {}).catch(() => {}); } }, "Cancel");
    words ??= el("span");
    words.replaceChildren(...[far, ` ${job.title}: ${job.words} `].filter(Boolean));
    if (!words.isConnected) place.replaceChildren(words);
    if (job.command && !stop.isConnected) place.append(stop); // what runs in a process of its own can be stopped
    await new Promise((done) => setTimeout(done, 400));
    job = await ask(`/api/jobs/${job.key}`);
  }
  if (job.state === "failed") { place.replaceChildren(el("span.bad-ink", {}, job.words)); return job; }
  place.replaceChildren(job.words, " ", job.address ? el("a", { href: job.address }, job.link ?? "see it") : "");
  if (go && job.address) location.assign(job.address);
  return job;
}
