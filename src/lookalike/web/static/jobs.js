// Waits for work that goes on at the server, and says how far it is.
import { ask, el } from "./dom.js";

export async function follow(job, place, { go = false } = {}) {
  while (job.state === "running") {
    const far = job.fraction === null ? null : el("progress", { max: 1, value: job.fraction, "aria-label": job.title });
    place.replaceChildren(...[far, ` ${job.title}: ${job.words} `].filter(Boolean));
    await new Promise((done) => setTimeout(done, 400));
    job = await ask(`/api/jobs/${job.key}`);
  }
  if (job.state === "failed") { place.replaceChildren(el("span.bad-ink", {}, job.words)); return job; }
  place.replaceChildren(job.words, " ", job.address ? el("a", { href: job.address }, job.link ?? "see it") : "");
  if (go && job.address) location.assign(job.address);
  return job;
}
