// How long a thread keeps its processor while others want it.
#ifndef BEBR_INDEX_BASE_TURNS_H_
#define BEBR_INDEX_BASE_TURNS_H_

namespace bebr {

// Makes the turns of the calling thread short, where the kernel lets a thread say so (Linux, from 6.12 on): its share
// of the processors stays what it is, only in smaller pieces. For threads that compute for long beside others that wake
// for a moment, which would else wait for the end of a turn, some milliseconds.
void TakeShortTurns();

// Lets who waits for this thread's processor have it now, if the thread takes short turns; to be called every some 50
// microseconds. The kernel makes it wait as long as one of its turns takes, which is why others do not give way: with
// turns of the usual length they would lose nearly all of their share. Beside threads that compute for long it does
// nothing for most of the time. Cost where nobody waits: a call of the kernel.
void GiveWay();

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_TURNS_H_
