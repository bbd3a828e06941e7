import assert from 'node:assert/strict';
import { test } from 'node:test';
import { argvOf } from './argv.ts';

test('one line is split as a shell would, several lines are an argument each', () => {
  const cases: [string, string[] | null][] = [
    ['npx -y @modelcontextprotocol/server-everything', ['npx', '-y', '@modelcontextprotocol/server-everything']],
    ['  node  "my server.js"  --root=\'/a b\'/c ', ['node', 'my server.js', '--root=/a b/c']],
    ['a "" \\"b\\" c\\ d', ['a', '', '"b"', 'c d']],
    ['echo $HOME; rm *', ['echo', '$HOME;', 'rm', '*']],
    ['npx\n-y\na folder with spaces\n', ['npx', '-y', 'a folder with spaces']],
    ['say "never closed', null],
    ['', []],
  ];
  assert.deepEqual(
    cases.map(([text]) => argvOf(text)),
    cases.map(([, argv]) => argv),
  );
});
