// A recording's screen: the browser's own player, or picture by picture where it cannot play the video.
import { el, clock } from "./dom.js";

const PACE_MS = 500;

export class Screen {
  constructor(box, api, duration) {
    this.box = box;
    this.api = api;
    this.duration = duration;
    this.listeners = [];
    this.until = null;
    if (new URLSearchParams(location.search).has("frames")) this.useFrames("Shown picture by picture.");
    else this.useVideo();
  }

  onTime(what) { this.listeners.push(what); }

  tell(time) { for (const what of this.listeners) what(time); }

  useVideo() {
    const video = el("video", { controls: true, preload: "metadata", src: `${this.api}/video`, "aria-label": "The recording's video" });
    video.muted = true;
    video.addEventListener("error", () => this.useFrames("This browser cannot play the video: shown picture by picture."));
    video.addEventListener("loadedmetadata", () => { if (!video.videoWidth) this.useFrames("This browser cannot show the video: shown picture by picture."); });
    video.addEventListener("timeupdate", () => {
      if (this.until !== null && video.currentTime >= this.until) { video.pause(); this.until = null; }
      this.tell(video.currentTime);
    });
    this.video = video;
    this.box.replaceChildren(video);
    this.box.dataset.mode = "video";
  }

  useFrames(why) {
    if (this.picture) return;
    const wanted = this.video && Number.isFinite(this.wanted) ? this.wanted : 0;
    this.video = null;
    this.time = wanted;
    this.picture = el("img", { alt: "A picture of the recording's video" });
    this.slider = el("input", { type: "range", class: "scrub", min: 0, max: this.duration || 60, step: 0.1, value: wanted, "aria-label": "Place in the video" });
    this.button = el("button", { type: "button", onclick: () => (this.timer ? this.pause() : this.run()) }, "Play");
    this.label = el("span.muted");
    this.slider.addEventListener("input", () => { this.until = null; this.showFrame(Number(this.slider.value)); });
    this.box.replaceChildren(this.picture, this.slider, el("div.inline", {}, this.button, this.label), el("p.muted.small", {}, why));
    this.box.dataset.mode = "frames";
    this.showFrame(wanted);
  }

  showFrame(time) {
    this.time = Math.max(0, Math.min(time, this.duration || time));
    this.slider.value = this.time;
    this.label.textContent = clock(this.time);
    const next = new Image();
    const shown = this.time;
    next.onload = () => { if (shown === this.time) this.picture.src = next.src; this.picture.dataset.time = shown; };
    next.onerror = () => { this.label.textContent = "This picture cannot be read."; this.pause(); };
    next.src = `${this.api}/picture?t=${this.time.toFixed(2)}`;
    this.tell(this.time);
  }

  run() {
    this.button.textContent = "Pause";
    this.timer = setInterval(() => {
      if (this.until !== null && this.time >= this.until) { this.until = null; this.pause(); return; }
      if (this.duration && this.time >= this.duration) { this.pause(); return; }
      this.showFrame(this.time + PACE_MS / 1000);
    }, PACE_MS);
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    if (this.button) this.button.textContent = "Play";
    this.video?.pause();
  }

  seek(time, until = null) {
    this.wanted = time;
    this.until = until;
    if (this.video) { this.video.currentTime = time; if (until !== null) this.video.play().catch(() => {}); }
    else { this.showFrame(time); if (until !== null && !this.timer) this.run(); }
  }
}
