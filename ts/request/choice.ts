/**
 * Who of several responders gets a request: of two that are drawn at random, the one with fewer unanswered requests of this
 * client. So equal responders get equal shares, and one that has become slow gets fewer.
 */

/** For so long a responder that has let a request time out is asked only when there is no other, in ms: a lease. */
const SUSPECT_TIME = 30_000;
/** So many such responders are remembered; of more, those that were noticed last. */
const MAX_SUSPECTS = 1000;

/** Nobody was tried yet. */
export const NONE: ReadonlySet<string> = new Set();

export class Choice {
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #unanswered = new Map<string, number>();
  /** Until when. */
  readonly #suspects = new Map<string, number>();

  /** `now` in ms; `random` from 0 to below 1. */
  constructor(now: () => number, random: () => number) {
    this.#now = now;
    this.#random = random;
  }

  /** One of the responders that was not tried; undefined where all were. */
  among(responders: readonly string[], tried: ReadonlySet<string>): string | undefined {
    let left = responders;
    if (tried.size > 0) left = left.filter((one) => !tried.has(one));
    if (this.#suspects.size > 0) {
      const trusted = left.filter((one) => !this.#isSuspect(one));
      if (trusted.length > 0) left = trusted;
    }
    if (left.length < 2) return left[0];
    const first = this.#index(left.length);
    const step = 1 + this.#index(left.length - 1);
    const [one, other] = [left[first], left[(first + step) % left.length]] as [string, string];
    return this.#load(other) < this.#load(one) ? other : one;
  }

  asked(responder: string): void {
    this.#unanswered.set(responder, this.#load(responder) + 1);
  }

  /** A request is over, whether it was answered or not. */
  over(responder: string): void {
    const left = this.#load(responder) - 1;
    if (left > 0) this.#unanswered.set(responder, left);
    else this.#unanswered.delete(responder);
  }

  /** A responder has answered, so it is there. */
  answered(responder: string): void {
    if (this.#suspects.size > 0) this.#suspects.delete(responder);
  }

  timedOut(responder: string): void {
    this.#suspects.delete(responder);
    this.#suspects.set(responder, this.#now() + SUSPECT_TIME);
    const [oldest] = this.#suspects.keys();
    if (this.#suspects.size > MAX_SUSPECTS && oldest !== undefined) this.#suspects.delete(oldest);
  }

  #isSuspect(responder: string): boolean {
    const until = this.#suspects.get(responder);
    if (until === undefined) return false;
    if (until > this.#now()) return true;
    this.#suspects.delete(responder);
    return false;
  }

  #load(responder: string): number {
    return this.#unanswered.get(responder) ?? 0;
  }

  #index(length: number): number {
    return Math.floor(this.#random() * length);
  }
}
