// Package bunstore is what the SQL stores have in common: transactions and when they are run again, the rows, the
// statements that read and write them, and the migrator. What differs between the databases stands behind [Engine].
//
// Statements that are run for every flush are SQL text beside their engine. The others are built by Bun, which writes
// arguments into the text of a statement. That is right for what is executed, since drivers send a text without
// arguments in one message. It is wrong for queries: drivers prepare and keep each text that they have not met, however
// long. So queries bind their arguments, by [binding].
package bunstore
