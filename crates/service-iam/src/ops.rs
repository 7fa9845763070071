//! What neighbours may ask: for STS to make sessions, for others to weigh policies of resources.
