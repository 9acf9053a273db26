/**
 * Proves that the exports of `ts/` are those of `index.d.ts`, in both directions, and that the numbers of `settle` are
 * those of the addon, so that none of them can drift. It is a declaration file, so that nothing is emitted for it.
 * `Shape` is the public side of a class, without its private members.
 */

import type * as CampaignContract from '../compat/campaign';
import type * as EventsourceContract from '../compat/eventsource';
import type * as PhotoContract from '../compat/photo';
import type * as PlatformContract from '../compat/platform';
import type * as SpineContract from '../compat/spine';
import type * as HttpContract from '../http';
import type * as Contract from '../index';
import type * as Addon from '../native';
import type * as NestContract from '../nestjs';
import type * as OtelContract from '../otel';
import type * as SocketIOContract from '../socket.io';
import type * as TestingContract from '../testing';
import type * as CampaignFace from './compat/campaign';
import type * as EventsourceFace from './compat/eventsource';
import type * as PhotoFace from './compat/photo';
import type * as PlatformFace from './compat/platform';
import type * as SpineFace from './compat/spine';
import type * as HttpFace from './http';
import type * as Face from './index';
import type { Settlement } from './native/settlement';
import type * as NestFace from './nestjs';
import type * as OtelFace from './otel';
import type * as SocketIOFace from './socket.io';
import type * as TestingFace from './testing';

/** Methods that return `this` are compared by their arguments: the classes differ in private members. */
type Shape<T> = {
  [K in keyof T]: K extends 'on' | 'once' | 'off'
    ? T[K] extends (...args: infer A) => unknown
      ? A
      : never
    : T[K];
};
type Values<T> = {
  [K in keyof T]: T[K] extends abstract new (...args: never[]) => unknown ? 0 : T[K];
};
type Assignable<From, To> = [From] extends [To] ? true : false;
type Same<A, B> = Assignable<A, B> extends true ? Assignable<B, A> : false;
type SameClass<
  A extends abstract new (
    ...args: never[]
  ) => unknown,
  B extends abstract new (
    ...args: never[]
  ) => unknown,
> =
  Same<ConstructorParameters<A>, ConstructorParameters<B>> extends true
    ? Same<Shape<InstanceType<A>>, Shape<InstanceType<B>>>
    : false;

type Classes = {
  [K in keyof typeof Contract]: (typeof Contract)[K] extends abstract new (
    ...args: never[]
  ) => unknown
    ? // The contract of the client is an interface, and is compared below.
      K extends 'EventBusClient'
      ? true
      : K extends keyof typeof Face
        ? (typeof Face)[K] extends abstract new (
            ...args: never[]
          ) => unknown
          ? SameClass<(typeof Contract)[K], (typeof Face)[K]>
          : false
        : false
    : true;
};

/** The same of the entries of `compat/`: the names, what is no class, and each class. */
type SameEntry<A, B> =
  Same<Values<A>, Values<B>> extends true
    ? Same<
        { [K in keyof A]: K extends keyof B ? SameIfClass<A[K], B[K]> : false },
        { [K in keyof B]: true }
      >
    : false;
type SameIfClass<A, B> = A extends abstract new (
  ...args: never[]
) => unknown
  ? B extends abstract new (
      ...args: never[]
    ) => unknown
    ? SameClass<A, B>
    : false
  : true;

type Map = { 'photo.uploaded': { photoId: string }; 'user.created': { userId: string } };

type Holds<T extends true> = T;

/** Names and numbers; the addon's names begin with a capital letter. */
type Codes<T> = { [K in keyof T as Uncapitalize<K & string>]: `${T[K] & number}` };

export type SameCodes = Holds<Same<Codes<typeof Addon.SettlementCode>, Codes<typeof Settlement>>>;
export type SameTesting = Holds<Same<typeof TestingContract, typeof TestingFace>>;
export type SameHttp = Holds<Same<typeof HttpContract, typeof HttpFace>>;
export type SameSocketIO = Holds<Same<typeof SocketIOContract, typeof SocketIOFace>>;
export type SameOtel = Holds<Same<typeof OtelContract, typeof OtelFace>>;
export type SameNest = Holds<SameEntry<typeof NestContract, typeof NestFace>>;
export type SameNames = Holds<Same<keyof typeof Contract, keyof typeof Face>>;
export type SameValues = Holds<Same<Values<typeof Contract>, Values<typeof Face>>>;
export type SameClasses = Holds<Same<Classes, { [K in keyof typeof Contract]: true }>>;
export type SameClient = Holds<Same<Shape<Contract.EventBusClient>, Shape<Face.EventBusClient>>>;
export type SameWithMap = Holds<
  Same<Shape<Contract.EventBusClient<Map>>, Shape<Face.EventBusClient<Map>>>
>;
export type SameCampaign = Holds<SameEntry<typeof CampaignContract, typeof CampaignFace>>;
export type SamePhoto = Holds<SameEntry<typeof PhotoContract, typeof PhotoFace>>;
export type SamePlatform = Holds<SameEntry<typeof PlatformContract, typeof PlatformFace>>;
export type SameSpine = Holds<SameEntry<typeof SpineContract, typeof SpineFace>>;
export type SameEventsource = Holds<SameEntry<typeof EventsourceContract, typeof EventsourceFace>>;
