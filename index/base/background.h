// Work that yields to everything else on the machine.
#ifndef BEBR_INDEX_BASE_BACKGROUND_H_
#define BEBR_INDEX_BASE_BACKGROUND_H_

#include <cstddef>
#include <functional>

namespace bebr {

// Makes the calling thread one that the kernel runs when no other thread of the machine wants its processor.
void YieldToOthers();

// Calls body(0) .. body(count - 1), each once, on up to `threads` threads made for it, which yield to others; returns
// when all calls have. For work that may take minutes and must hold up neither searches nor writes, whose threads are
// left alone. `body` must not throw.
void RunInBackground(size_t threads, size_t count, const std::function<void(size_t)>& body);

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_BACKGROUND_H_
