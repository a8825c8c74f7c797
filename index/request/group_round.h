// One scan of a search by groups with candidates, of one engine's part of the documents.
#ifndef BEBR_INDEX_REQUEST_GROUP_ROUND_H_
#define BEBR_INDEX_REQUEST_GROUP_ROUND_H_

#include <memory>

#include "index/search/scheduler.h"
#include "index/search/search_job.h"

namespace bebr {

// Runs a part (SearchRequest::part) that PrepareSearch has checked and that has group_by and candidates, and answers
// it.
//
// How. Which candidates are chosen by their first levels depends on the documents of all engines, in each of the scans
// of SearchGroups anew. So whoever merges the parts goes from scan to scan, and a part is one of them: with group_round
// for the best documents that have another value than the query's group_values, HitsOfRound of them, else for the best
// group_size of each of these values. Its hits are all that this engine chooses, excluded documents too, each with the
// keys by which all engines choose and select, with its values, and with a rerank scored again. ChosenGroups
// (index/cluster/chosen_groups.h) makes of several parts what one engine with all documents would have found.
//
// Memory. That of the answer, asked for by take_memory.
void SearchGroupRound(std::unique_ptr<SearchJob> job, Scheduler& scheduler);

}  // namespace bebr

#endif  // BEBR_INDEX_REQUEST_GROUP_ROUND_H_
