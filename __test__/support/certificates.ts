/** Certificates of any kind, good and bad, made for one test: X.509 in DER, signed by node:crypto. */

import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIPv4 } from 'node:net';

/** The algorithm of a key. */
export type Algorithm = 'p256' | 'p384' | 'p521' | 'ed25519' | 'rsa2048' | 'rsa1024';

export interface CertificateOptions {
  name: string;
  /** Who signs; default: the certificate itself. */
  issuer?: Certificate;
  algorithm?: Algorithm;
  /** Default 3. A certificate of version 1 has no extensions. */
  version?: 1 | 3;
  /** The names of the server, DNS and IPv4; default `localhost`. */
  hosts?: string[];
  /** The basic constraint; default: not there. */
  authority?: boolean;
  /** The years from and until which it is valid. */
  years?: [from: number, until: number];
  /** For servers, for clients, or (default) unsaid. */
  purpose?: 'server' | 'client';
  /** Only for signing certificates, or (default) unsaid. */
  onlySigns?: boolean;
}

export class Certificate {
  readonly name: string;
  readonly privateKey: KeyObject;
  /** PEM. */
  readonly cert: string;
  readonly #algorithm: Algorithm;

  constructor(options: CertificateOptions) {
    this.name = options.name;
    this.#algorithm = options.algorithm ?? 'p256';
    const { privateKey, publicKey } = keys(this.#algorithm);
    this.privateKey = privateKey;
    const signer = options.issuer ?? this;
    const algorithm = signatureAlgorithm(signer.#algorithm);
    const [from, until] = options.years ?? [2020, 2049];
    const v3 = options.version !== 1;
    const body = sequence(
      ...(v3 ? [tagged(0xa0, integer(Buffer.from([2])))] : []),
      integer(Buffer.concat([Buffer.from([1]), randomBytes(8)])),
      algorithm,
      commonName(signer.name),
      sequence(time(from), time(until)),
      commonName(this.name),
      publicKey.export({ type: 'spki', format: 'der' }),
      ...(v3 ? extensions(options) : []),
    );
    const digest = signer.#algorithm === 'ed25519' ? null : 'sha256';
    const signature = bits(sign(digest, body, signer.privateKey));
    this.cert = pem(sequence(body, algorithm, signature));
  }

  /** The private key as PKCS #8, PEM. */
  get key(): string {
    return this.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  }

  /** The private key, encrypted: as PKCS #8, or in the old form of OpenSSL. */
  encryptedKey(passphrase: string, cipher: string, type: 'pkcs8' | 'sec1' = 'pkcs8'): string {
    return this.privateKey.export({ type, format: 'pem', cipher, passphrase }).toString();
  }
}

function keys(algorithm: Algorithm) {
  if (algorithm === 'rsa2048') return generateKeyPairSync('rsa', { modulusLength: 2048 });
  if (algorithm === 'rsa1024') return generateKeyPairSync('rsa', { modulusLength: 1024 });
  if (algorithm === 'ed25519') return generateKeyPairSync('ed25519');
  const namedCurve = { p256: 'P-256', p384: 'P-384', p521: 'P-521' }[algorithm];
  return generateKeyPairSync('ec', { namedCurve });
}

function signatureAlgorithm(algorithm: Algorithm): Buffer {
  if (algorithm === 'ed25519') return sequence(oid('2b6570'));
  if (algorithm.startsWith('rsa')) return sequence(oid('2a864886f70d01010b'), der(0x05));
  return sequence(oid('2a8648ce3d040302'));
}

function extensions(options: CertificateOptions): Buffer[] {
  const all: Buffer[] = [];
  const hosts = options.hosts ?? ['localhost'];
  if (hosts.length > 0) all.push(extension('551d11', sequence(...hosts.map(host))));
  if (options.authority !== undefined) {
    const basic = options.authority ? sequence(der(0x01, Buffer.from([0xff]))) : sequence();
    all.push(extension('551d13', basic, true));
  }
  if (options.purpose !== undefined) {
    const purpose = options.purpose === 'server' ? '2b06010505070301' : '2b06010505070302';
    all.push(extension('551d25', sequence(oid(purpose))));
  }
  // keyCertSign and cRLSign.
  if (options.onlySigns) all.push(extension('551d0f', der(0x03, Buffer.from([0x01, 0x06])), true));
  return all.length > 0 ? [tagged(0xa3, sequence(...all))] : [];
}

function extension(id: string, value: Buffer, critical = false): Buffer {
  const flag = critical ? [der(0x01, Buffer.from([0xff]))] : [];
  return sequence(oid(id), ...flag, der(0x04, value));
}

function host(name: string): Buffer {
  if (isIPv4(name)) return der(0x87, Buffer.from(name.split('.').map(Number)));
  return der(0x82, Buffer.from(name));
}

function commonName(name: string): Buffer {
  return sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(name)))));
}

/** The first of January of a year before 2050. */
function time(year: number): Buffer {
  return der(0x17, Buffer.from(`${String(year).slice(2)}0101000000Z`));
}

function integer(bytes: Buffer): Buffer {
  return der(0x02, bytes);
}

function bits(bytes: Buffer): Buffer {
  return der(0x03, Buffer.from([0]), bytes);
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'));
}

function tagged(tag: number, content: Buffer): Buffer {
  return der(tag, content);
}

function sequence(...parts: Buffer[]): Buffer {
  return der(0x30, ...parts);
}

function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const size = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString('base64').replace(/.{1,64}/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}-----END CERTIFICATE-----\n`;
}
