/** What a colour says. The word beside it says the same. */
export type Tone = 'ok' | 'warn' | 'bad' | 'accent' | 'quiet';
