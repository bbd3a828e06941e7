/**
 * A set in order that is never changed: adding and removing give a new one that shares what stayed the same. A treap (Seidel and
 * Aragon, 1996) whose priorities are hashes of the tickets, so that equal steps give equal sets. Each node knows how many are below
 * it; adding, removing, the first and the number before an item are O(log n). (`OrderedMap` of immutable leaves a hole for each that
 * is removed, and looks for its first one through all of them.)
 */

/** Earlier times first; of equal times, lower tickets. No two items of a set have the same ticket. */
export interface Ranked {
  at: number;
  ticket: number;
}

export type Ordered<Item extends Ranked> = Node<Item> | null;

interface Node<Item extends Ranked> {
  item: Item;
  left: Ordered<Item>;
  right: Ordered<Item>;
  size: number;
}

export function sizeOf(set: Ordered<Ranked>): number {
  return set === null ? 0 : set.size;
}

export function firstOf<Item extends Ranked>(set: Ordered<Item>): Item | null {
  let node = set;
  while (node !== null && node.left !== null) node = node.left;
  return node === null ? null : node.item;
}

/** The first so many, in order. O(most + log n). */
export function firstItems<Item extends Ranked>(set: Ordered<Item>, most: number): Item[] {
  const items: Item[] = [];
  const visit = (node: Ordered<Item>): void => {
    if (node === null || items.length >= most) return;
    visit(node.left);
    if (items.length < most) items.push(node.item);
    visit(node.right);
  };
  visit(set);
  return items;
}

/** How many items come before this one. */
export function countBefore(set: Ordered<Ranked>, item: Ranked): number {
  let count = 0;
  let node = set;
  while (node !== null) {
    if (order(node.item, item) < 0) {
      count += sizeOf(node.left) + 1;
      node = node.right;
    } else node = node.left;
  }
  return count;
}

/** All of it, in order. */
export function itemsOf<Item extends Ranked>(set: Ordered<Item>): Item[] {
  const items: Item[] = [];
  const visit = (node: Ordered<Item>): void => {
    if (node === null) return;
    visit(node.left);
    items.push(node.item);
    visit(node.right);
  };
  visit(set);
  return items;
}

export function withItem<Item extends Ranked>(set: Ordered<Item>, item: Item): Ordered<Item> {
  if (set === null) return join(null, item, null);
  if (priority(item) > priority(set.item)) {
    const [left, right] = split(set, item);
    return join(left, item, right);
  }
  return order(item, set.item) < 0
    ? join(withItem(set.left, item), set.item, set.right)
    : join(set.left, set.item, withItem(set.right, item));
}

/** The set itself when the item is not in it. */
export function withoutItem<Item extends Ranked>(set: Ordered<Item>, item: Ranked): Ordered<Item> {
  if (set === null) return null;
  const side = order(item, set.item);
  if (side === 0) return merge(set.left, set.right);
  if (side < 0) {
    const left = withoutItem(set.left, item);
    return left === set.left ? set : join(left, set.item, set.right);
  }
  const right = withoutItem(set.right, item);
  return right === set.right ? set : join(set.left, set.item, right);
}

function order(a: Ranked, b: Ranked): number {
  return a.at === b.at ? a.ticket - b.ticket : a.at - b.at;
}

/** The finalizer of MurmurHash3: neighbouring tickets get priorities that have nothing to do with each other. */
function priority({ ticket }: Ranked): number {
  let hash = Math.imul(ticket ^ (ticket >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

function join<Item extends Ranked>(left: Ordered<Item>, item: Item, right: Ordered<Item>): Node<Item> {
  return { item, left, right, size: sizeOf(left) + sizeOf(right) + 1 };
}

/** What comes before the item, and what comes after it. */
function split<Item extends Ranked>(set: Ordered<Item>, item: Item): [Ordered<Item>, Ordered<Item>] {
  if (set === null) return [null, null];
  if (order(set.item, item) < 0) {
    const [left, right] = split(set.right, item);
    return [join(set.left, set.item, left), right];
  }
  const [left, right] = split(set.left, item);
  return [left, join(right, set.item, set.right)];
}

/** All of `left` comes before all of `right`. */
function merge<Item extends Ranked>(left: Ordered<Item>, right: Ordered<Item>): Ordered<Item> {
  if (left === null) return right;
  if (right === null) return left;
  return priority(left.item) > priority(right.item)
    ? join(left.left, left.item, merge(left.right, right))
    : join(merge(left, right.left), right.item, right.right);
}
