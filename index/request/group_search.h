// Searches for the best hits of each value of an attribute.
#ifndef BEBR_INDEX_REQUEST_GROUP_SEARCH_H_
#define BEBR_INDEX_REQUEST_GROUP_SEARCH_H_

#include <memory>

#include "index/search/scheduler.h"
#include "index/search/search_job.h"

namespace bebr {

// Runs a search that PrepareSearch has checked and that has group_by, and answers it.
//
// How. All scans are of one view. The best hits tell which groups are the best; while they are of too few groups, the
// next scan is for more of the best documents that have another value than those. Each of these scans finds up to
// kMaxK documents that none before has found, so there are at most 1 + documents / kMaxK of them, and mostly one. Then
// one pass finds the best hits of each group of which too few are known, a query each. So what is found depends on data
// and request alone.
//
// Rerank. The best `rerank` documents by estimate are scored again and come first, in their new order; of a group that
// has fewer than group_size among them, its best group_size are scored again too.
//
// A part (SearchRequest::part). Its groups and their hits are the best by estimate, of one engine's documents; with a
// rerank the best `rerank` documents are among its hits too, scored again as the others are. With group_values it has
// the best hits of these values alone. MergedGroups (index/cluster/merged_groups.h) makes of several parts what one
// engine with all documents would have found. With candidates, which are chosen of all documents in each scan, a part
// is one scan of those: see group_round.h.
//
// Memory. Of at most 16 queries at a time the hits of a scan, asked for by take_memory, beside the answer.
void SearchGroups(std::unique_ptr<SearchJob> job, Scheduler& scheduler);

}  // namespace bebr

#endif  // BEBR_INDEX_REQUEST_GROUP_SEARCH_H_
