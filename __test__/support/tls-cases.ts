/** What a server and a client may have of TLS, and whether `node:tls` and Oxbus connect. */

import type { TlsOptions } from 'node:tls';
import type { TlsConfig } from '../..';
import { Certificate, type CertificateOptions } from './certificates';

export const authority = new Certificate({ name: 'authority', authority: true, hosts: [] });
export const other = new Certificate({ name: 'other', authority: true, hosts: [] });
const old = new Certificate({ name: 'old authority', version: 1 });
const middle = new Certificate({ name: 'middle', issuer: authority, authority: true, hosts: [] });
export const leaf = new Certificate({ name: 'leaf', issuer: authority });
const ofMiddle = new Certificate({ name: 'leaf of middle', issuer: middle });
export const own = new Certificate({ name: 'own', authority: true });
export const client = new Certificate({ name: 'client', issuer: authority, purpose: 'client' });

const signed = (options: Partial<CertificateOptions>) =>
  new Certificate({
    name: options.hosts?.length === 0 ? 'localhost' : 'server',
    issuer: authority,
    ...options,
  });
const alone = (options: Partial<CertificateOptions>) =>
  new Certificate({ name: 'alone', ...options });
export const trusting = (certificate: Certificate): TlsConfig => ({ ca: certificate.cert });
const wanting: TlsOptions = { requestCert: true, ca: authority.cert };
const showing = (key: string, passphrase?: string): TlsConfig => ({
  ca: authority.cert,
  cert: client.cert,
  key,
  ...(passphrase === undefined ? {} : { passphrase }),
});

export interface Case {
  name: string;
  server: Certificate;
  /** What the server sends behind its own certificate. */
  chain?: Certificate;
  options?: TlsOptions;
  host?: string;
  tls: TlsConfig;
  /** Whether each connects. */
  node: boolean;
  oxbus?: boolean;
  /** What the message of Oxbus says. */
  says?: string;
}

const expired: [number, number] = [2020, 2021];
const self = (
  name: string,
  server: Certificate,
  rest: Pick<Case, 'node' | 'says'> & Partial<Case>,
): Case => ({
  name: `self-signed, as its own ca: ${name}`,
  server,
  tls: trusting(server),
  ...rest,
});
const of = (name: string, server: Certificate, rest: Pick<Case, 'node'> & Partial<Case>): Case => ({
  name,
  server,
  tls: trusting(authority),
  ...rest,
});

export const CASES: Case[] = [
  of('signed by the ca', leaf, { node: true }),
  of('no ca', leaf, { tls: {}, node: false, says: 'unable to get local issuer certificate' }),
  of('another ca', leaf, { tls: trusting(other), node: false, says: 'as tls.ca' }),
  of('any certificate (rejectUnauthorized: false)', own, {
    tls: { rejectUnauthorized: false },
    node: true,
  }),
  self('CA:TRUE', own, { node: true }),
  self('CA:FALSE', alone({ authority: false }), { node: true }),
  self('no constraint', alone({}), { node: true }),
  self('CA:TRUE, expired', alone({ authority: true, years: expired }), {
    node: false,
    says: 'has expired',
  }),
  self('CA:TRUE, another name', alone({ authority: true, hosts: ['elsewhere.example'] }), {
    node: false,
    says: 'hostname mismatch',
  }),
  self('CA:TRUE, beside others', own, { tls: { ca: [other.cert, own.cert] }, node: true }),
  self('CA:TRUE, only for clients', alone({ authority: true, purpose: 'client' }), {
    node: false,
    oxbus: true,
  }),
  self('CA:TRUE, keyUsage without digitalSignature', alone({ authority: true, onlySigns: true }), {
    node: false,
    oxbus: true,
  }),
  of('self-signed, CA:TRUE, not the ca', own, {
    node: false,
    says: 'self-signed certificate that is in tls.ca',
  }),
  of('a certificate of an authority, which did not sign itself, as ca', middle, {
    tls: trusting(middle),
    node: false,
  }),
  of('a leaf as ca', leaf, { tls: trusting(leaf), node: false, says: 'tls.ca' }),
  of('intermediate sent by the server', ofMiddle, { chain: middle, node: true }),
  of('intermediate missing', ofMiddle, {
    node: false,
    says: 'unable to get local issuer certificate',
  }),
  of('intermediate as ca, without its root', ofMiddle, {
    tls: trusting(middle),
    node: false,
    oxbus: true,
  }),
  of('expired', signed({ years: expired }), { node: false, says: 'has expired' }),
  of('not yet valid', signed({ years: [2045, 2049] }), { node: false, says: 'not yet valid' }),
  of('another name', signed({ hosts: ['elsewhere.example'] }), {
    node: false,
    says: 'tls.servername',
  }),
  of('another name, which is tls.servername', signed({ hosts: ['elsewhere.example'] }), {
    tls: { ca: authority.cert, servername: 'elsewhere.example' },
    node: true,
  }),
  of('wildcard', signed({ hosts: ['*.example.test'] }), {
    tls: { ca: authority.cert, servername: 'redis.example.test' },
    node: true,
  }),
  of('IP address that is in the certificate', signed({ hosts: ['127.0.0.1'] }), {
    host: '127.0.0.1',
    node: true,
  }),
  of('IP address that is not', leaf, { host: '127.0.0.1', node: false, says: 'hostname mismatch' }),
  of('name only as common name (CN)', signed({ hosts: [] }), {
    node: true,
    oxbus: false,
    says: 'common name (CN)',
  }),
  of('only for clients', signed({ purpose: 'client' }), {
    node: false,
    says: 'certificate purpose',
  }),
  of('version 1', new Certificate({ name: 'localhost', issuer: authority, version: 1 }), {
    node: true,
    oxbus: false,
    says: 'certificate version',
  }),
  self('version 1', new Certificate({ name: 'localhost', version: 1 }), {
    node: true,
    oxbus: false,
    says: 'certificate version',
  }),
  of('ca of version 1', new Certificate({ name: 'server', issuer: old }), {
    tls: trusting(old),
    node: true,
  }),
  of('P-384', signed({ algorithm: 'p384' }), { node: true }),
  of('P-521', signed({ algorithm: 'p521' }), { node: true, oxbus: false }),
  of('Ed25519', signed({ algorithm: 'ed25519' }), { node: true }),
  of('RSA, 2048 bits', signed({ algorithm: 'rsa2048' }), { node: true }),
  of('TLS 1.2 only', leaf, { options: { maxVersion: 'TLSv1.2' }, node: true }),
  of('TLS 1.1 only', leaf, {
    options: { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' },
    node: false,
    says: 'protocol version',
  }),
  of('client certificate, none given', leaf, {
    options: wanting,
    node: false,
    says: 'tls.cert and tls.key',
  }),
  of('client certificate', leaf, { options: wanting, tls: showing(client.key), node: true }),
  of('client certificate that the server does not trust', leaf, {
    options: wanting,
    tls: { ca: authority.cert, cert: own.cert, key: own.key },
    node: false,
    says: "refuse the client's certificate",
  }),
  ...['aes-256-cbc', 'aes-128-cbc', 'des-ede3-cbc'].map((cipher) =>
    of(`encrypted key (PKCS #8, ${cipher}), its passphrase`, leaf, {
      options: wanting,
      tls: showing(client.encryptedKey('hunter2', cipher), 'hunter2'),
      node: true,
    }),
  ),
  of('encrypted key, another passphrase', leaf, {
    options: wanting,
    tls: showing(client.encryptedKey('hunter2', 'aes-256-cbc'), 'hunter3'),
    node: false,
    says: 'redis.tls.passphrase: does not open',
  }),
  of('encrypted key, no passphrase', leaf, {
    options: wanting,
    tls: showing(client.encryptedKey('hunter2', 'aes-256-cbc')),
    node: false,
    says: 'redis.tls.passphrase: is needed',
  }),
  of('encrypted key in the old form of OpenSSL', leaf, {
    options: wanting,
    tls: showing(client.encryptedKey('hunter2', 'aes-256-cbc', 'sec1'), 'hunter2'),
    node: true,
    oxbus: false,
    says: 'openssl pkcs8 -topk8',
  }),
  of('key that is not encrypted, with a passphrase', leaf, {
    options: wanting,
    tls: showing(client.key, 'hunter2'),
    node: true,
  }),
];
