// A real OpenID provider on loopback. Its only argument is a JSON file: clients, jwks, accounts (login -> claims).
// The file's accounts are read at every sign-in, so that a test can change what is said of somebody.
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import Provider from 'oidc-provider';

const file = process.argv[2];
const given = JSON.parse(readFileSync(file, 'utf8'));
const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: given.clients,
    jwks: given.jwks,
    cookies: { keys: ['for tests only'] },
    pkce: { required: () => true },
    scopes: ['openid', 'profile', 'email', 'groups'],
    claims: {
      openid: ['sub', 'sid'],
      profile: ['name', 'preferred_username', 'groups'],
      email: ['email', 'email_verified'],
    },
    features: { devInteractions: { enabled: true }, backchannelLogout: { enabled: true } },
    // Its own guard refuses loopback addresses, where the hub stands in these tests.
    fetch: (url, { method, headers, body, redirect, signal }) => fetch(url, { method, headers, body, redirect, signal }),
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({ sub: id, ...JSON.parse(readFileSync(file, 'utf8')).accounts[id] }),
    }),
  });
  server.on('request', provider.callback());
  console.log(JSON.stringify({ issuer }));
});
process.on('SIGTERM', () => process.exit(0));
