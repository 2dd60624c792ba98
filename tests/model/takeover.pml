/* How a unit that gateways share over Ceph gets another owner: docs/design/cluster.md, "Membership" and "Ownership". Any step
 * may come at any moment but for what the protocol forbids; writes reach the OSD late and in any order. Checked:
 *
 *   - a write that the OSD takes is by the newest owner that has done anything: no ghost of a former one lands after that;
 *   - what a gateway answers by itself, such as a read from its cache, it answers as the newest owner.
 *
 * tests/model/run.py runs it, and with each of the steps in NO_... left out, which must be found; REACHES_... shows that what
 * is checked does happen.
 * What it leaves out: how long things take (only their order), several OSDs, and what is agreed besides the owner. */

#ifndef GATEWAYS
#define GATEWAYS 2
#endif
#ifndef LIVES
#define LIVES 2     /* of each gateway: killed, or fenced and started anew */
#endif
#ifndef MOVES
#define MOVES 2     /* that an operator asks for */
#endif
#ifndef WRITES
#define WRITES 2    /* of each life */
#endif
#define NONE 15
#define FREE 0      /* the slot of no write */

/* The record of the unit: changed by compare-and-set only. */
byte epoch = 1;
byte owner = NONE;

/* The record of members. A life that is marked can renew no more; `fenced_by`: the map of the cluster that shuts it out. */
byte life[GATEWAYS];
bool marked[GATEWAYS];
byte fenced_by[GATEWAYS];       /* 0: not yet */
byte former_fenced_by[GATEWAYS];/* likewise, of the life before */
bool has_lease[GATEWAYS];       /* by the gateway's own clock, which ends it before anybody else's does */
byte obeys[GATEWAYS];           /* its seat: the epoch that all its shards obey */

/* The cluster's map. */
byte map_now = 1;
byte map_of_osd = 1;

/* Writes on their way, one of each gateway at most besides the one that a pause holds up. */
typedef on_way { byte by_life; byte as_owner; byte map };
on_way late[GATEWAYS];

byte newest_writer = 0;         /* the epoch of the claim whose owner has written, or answered, last */
byte moves_left = MOVES;

inline fence(who) {
#ifndef NO_FENCE
  map_now++;
  fenced_by[who] = map_now;
#else
  fenced_by[who] = 14;          /* never reached by the map */
#endif
}

/* Whether a life that was marked is shut out, or will be by whoever has the map. */
#define has_ended(g) (marked[g] && fenced_by[g] != 0)

/* The OSD takes or refuses what was on its way. Its map is at least the sender's. */
proctype osd() {
  byte g;
  do
  :: atomic { map_of_osd < map_now -> map_of_osd = map_now }
  :: atomic {
       select (g : 0 .. GATEWAYS - 1);
       if
       :: late[g].as_owner != FREE ->
          if
          :: late[g].map > map_of_osd -> map_of_osd = late[g].map
          :: else
          fi;
          if
          :: late[g].by_life == life[g] && fenced_by[g] != 0 && fenced_by[g] <= map_of_osd
          :: late[g].by_life != life[g] && former_fenced_by[g] <= map_of_osd
          :: else ->
             assert(late[g].as_owner >= newest_writer);
#ifdef REACHES_A_MOVE
             assert(newest_writer == 0 || late[g].as_owner == newest_writer || marked[0] || marked[1]);
#endif
#ifdef REACHES_A_TAKEOVER
             assert(newest_writer == 0 || late[g].as_owner == newest_writer || life[0] + life[1] == 0);
#endif
             newest_writer = late[g].as_owner
          fi;
          late[g].as_owner = FREE; late[g].by_life = 0; late[g].map = 0
       :: else
       fi;
       g = 0
     }
  od
}

proctype gateway(byte me) {
  byte mine = 0;                /* the epoch of its claim, as long as its shards know of nothing newer */
  byte found = 0;               /* the epoch in which it found that nobody owns the unit */
  byte my_map = 0;               /* of the owner */
  byte written = 0;
  byte held = 0;                /* a write that was allowed, and that a pause keeps from being sent */
  bool confirmed = false, has_map = false;
  bool has_read = false;        /* from the OSD, since its claim */
  byte other;

  do
  /* -- its lease ----------------------------------------------------------------------------------------------------- */
  :: atomic { has_lease[me] -> has_lease[me] = false }
  :: atomic { !has_lease[me] && !marked[me] -> has_lease[me] = true }

  /* -- it writes, as the owner, and hears of what has changed ------------------------------------------------------------ */
  :: atomic { mine != 0 && has_lease[me] && held == 0 && written < WRITES -> held = mine; written++ }
  :: atomic { held != 0 && late[me].as_owner == FREE ->
       late[me].by_life = life[me]; late[me].as_owner = held; late[me].map = my_map; held = 0 }
  :: atomic { mine != 0 && has_lease[me] && !has_read ->  /* fills its cache */
       if
       :: my_map > map_of_osd -> map_of_osd = my_map
       :: else
       fi;
       has_read = true }
  :: atomic { mine != 0 && has_lease[me] && has_read ->   /* answers a read from it */
       assert(mine >= newest_writer); newest_writer = mine }
  :: atomic { obeys[me] < epoch && (owner == me || (held == 0 && late[me].as_owner == FREE)) ->
       obeys[me] = epoch;
       if
       :: owner == me && mine != 0
       :: else -> mine = 0; has_read = false; my_map = 0
       fi }

  /* -- a move: it gives up ------------------------------------------------------------------------------------------- */
  :: atomic { owner == me && mine != 0 && moves_left != 0 && has_lease[me] ->
       moves_left--; owner = NONE; epoch++ }

  /* -- a life is lost, or the gateway's own former one: marked, fenced, taken out of the record ------------------------------------------------------ */
  :: atomic {
       select (other : 0 .. GATEWAYS - 1);
       if
#ifndef NO_LEASE
       :: !marked[other] && !has_lease[other] -> marked[other] = true
#else
       :: !marked[other] -> marked[other] = true
#endif
       :: marked[other] && fenced_by[other] == 0 -> fence(other)
       :: other != me && has_ended(other) && owner == other -> owner = NONE; epoch++
       :: else
       fi;
       other = 0
     }

  /* -- it takes the unit: nobody's in epoch `found`; confirm, barrier, claim ---------------------------------------------- */
  :: atomic { owner == NONE && found != epoch && obeys[me] == epoch && !marked[me] ->
       found = epoch; confirmed = false; has_map = false }
  :: atomic {
       found != 0 && !confirmed ->
#ifndef NO_CONFIRM
       confirmed = true;
       for (other : 0 .. GATEWAYS - 1) {
         if
         :: other != me && obeys[other] < found && !has_ended(other) -> confirmed = false
         :: else
         fi
       };
       other = 0
#else
       confirmed = true
#endif
     }
  :: atomic { confirmed && !has_map ->
       my_map = map_now;
#ifdef NO_BARRIER
       my_map = 0;
#endif
       has_map = true }
#ifndef NO_EPOCH
  :: atomic { has_map && owner == NONE && found == epoch && !marked[me] ->
#else
  :: atomic { has_map && !marked[me] ->
#endif
       owner = me; epoch++; mine = epoch; obeys[me] = epoch; has_read = false; found = 0; confirmed = false; has_map = false }
  :: atomic { found != 0 && found != epoch -> found = 0; confirmed = false; has_map = false;
       if
       :: mine == 0 -> my_map = 0
       :: else
       fi }

  /* -- it was killed, or finds that it was fenced, and starts anew ------------------------------------------------------- */
  :: atomic { has_ended(me) && life[me] + 1 < LIVES ->
       life[me]++; former_fenced_by[me] = fenced_by[me]; marked[me] = false; fenced_by[me] = 0; has_lease[me] = false;
       if
       :: owner == me -> owner = NONE; epoch++
       :: else
       fi;
       mine = 0; has_read = false; found = 0; held = 0; written = 0; my_map = 0; confirmed = false; has_map = false;
       obeys[me] = epoch
     }
  od
}

init {
  atomic {
    run osd();
    byte g = 0;
    do
    :: g < GATEWAYS -> obeys[g] = epoch; run gateway(g); g++
    :: else -> break
    od
  }
}
