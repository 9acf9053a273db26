/** In what two values differ first, as a program could tell; undefined if in nothing. */
export declare function difference(actual: unknown, expected: unknown): string | undefined;
