// Waits that somebody who sets the clock does not make longer.
#ifndef BEBR_SERVER_NET_STEADY_WAITS_H_
#define BEBR_SERVER_NET_STEADY_WAITS_H_

namespace bebr {

// Links in that a wait of Abseil's with a limit ends after that time. By default it ends at a time of day: when the
// clock is set an hour back meanwhile, an hour later. gRPC's timers wait so, and with them its deadlines, its pings,
// and its attempts to connect again. False, and nothing is changed, where this Abseil waits otherwise.
bool KeepWaitsSteady();

}  // namespace bebr

#endif  // BEBR_SERVER_NET_STEADY_WAITS_H_
